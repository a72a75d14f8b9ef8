"""AWS, or the local cloud: boto3 in, dataclasses out."""
