"""Seats in ministack, so that its Step Functions and CloudFormation reach this SageMaker.

    register(app)     # sagemaker_local.emulator.seats; before the first request, in the process of both

ministack has no interface for it: private tables of the pinned version are extended; tests guard them.
"""
