"""AWS as the application uses it: boto3 in, dataclasses out."""
