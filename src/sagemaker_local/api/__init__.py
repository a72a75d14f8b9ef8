"""The operations of the SageMaker API: one function each, request in, response out.

Requests were validated against botocore's model; responses are cut to the operation's output shape later, so
a function may answer with a whole record. Each raises ApiError for AWS's errors.
"""
