#!/usr/bin/env bash
# The AWS CLI, version 1 from PyPI, unmodified: train, deploy, invoke, transform a prefix, delete.
# Needs a running local cloud (AWS_ENDPOINT_URL, credentials, region), DATA (S3 prefix of a staged dataset) and ROLE.
set -euo pipefail
name=cli-$RANDOM$RANDOM
bucket=$name
image=811284229777.dkr.ecr.${AWS_DEFAULT_REGION}.amazonaws.com/image-classification:1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
tell() { echo "$(date +%T) $*"; }
sm() { aws sagemaker "$@"; }

channel() {
  printf '{"ChannelName":"%s","ContentType":"application/x-image","DataSource":{"S3DataSource":' "$1"
  printf '{"S3DataType":"S3Prefix","S3Uri":"%s","S3DataDistributionType":"FullyReplicated"}}}' "$2"
}

aws s3 mb "s3://$bucket" > /dev/null
sm create-training-job --training-job-name "$name" --role-arn "$ROLE" \
  --algorithm-specification "TrainingImage=$image,TrainingInputMode=File" \
  --hyper-parameters "num_classes=2,num_training_samples=1000,epochs=${EPOCHS:-1},image_shape='3,32,32'" \
  --input-data-config "[$(channel train "$DATA/train/"),$(channel validation "$DATA/validation/"),$(channel train_lst "$DATA/train.lst"),$(channel validation_lst "$DATA/validation.lst")]" \
  --output-data-config "S3OutputPath=s3://$bucket/out" \
  --resource-config InstanceType=ml.m5.xlarge,InstanceCount=1,VolumeSizeInGB=5 \
  --stopping-condition MaxRuntimeInSeconds=1800 > /dev/null
status=InProgress
while [[ $status == InProgress ]]; do
  sleep 1
  status=$(sm describe-training-job --training-job-name "$name" --query TrainingJobStatus --output text)
done
[[ $status == Completed ]] || { sm describe-training-job --training-job-name "$name" --query FailureReason; exit 1; }
aws logs filter-log-events --log-group-name /aws/sagemaker/TrainingJobs --log-stream-name-prefix "$name" \
  --query 'events[-1].message' --output text | grep -q .
tell trained

sm create-model --model-name "$name" --execution-role-arn "$ROLE" \
  --primary-container "Image=$image,ModelDataUrl=s3://$bucket/out/$name/output/model.tar.gz" > /dev/null
sm create-endpoint-config --endpoint-config-name "$name" --production-variants \
  "VariantName=AllTraffic,ModelName=$name,InstanceType=ml.m5.large,InitialInstanceCount=1" > /dev/null
sm create-endpoint --endpoint-name "$name" --endpoint-config-name "$name" > /dev/null
sm wait endpoint-in-service --endpoint-name "$name"
picture=$(aws s3 ls "$DATA/test/" | awk 'NR==1 {print $4}')
aws s3 cp --quiet "$DATA/test/$picture" "$work/picture.png"
aws sagemaker-runtime invoke-endpoint --endpoint-name "$name" --content-type image/png \
  --body "fileb://$work/picture.png" "$work/answer.json" --query InvokedProductionVariant --output text | grep -qx AllTraffic
grep -q '^\[' "$work/answer.json"
tell "predicted $(cat "$work/answer.json")"

sm delete-endpoint --endpoint-name "$name"
sm wait endpoint-deleted --endpoint-name "$name"
sm delete-endpoint-config --endpoint-config-name "$name"
sm delete-model --model-name "$name"
tell "deployed, predicted, deleted"
