"""What a Lambda function is, taken from ministack's records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Function:
    """One version of a function; two that compare equal can share an execution environment."""

    account: str
    region: str
    name: str
    version: str
    handler: str
    runtime: str
    role: str
    timeout: int  # seconds
    memory: int  # MiB
    storage: int  # MiB of /tmp
    variables: tuple[tuple[str, str], ...]
    code_sha: str
    layers: tuple[str, ...]  # ARNs
    log_group: str
    reserved: int | None = field(default=None, compare=False)

    @property
    def arn(self) -> str:
        return f"arn:aws:lambda:{self.region}:{self.account}:function:{self.name}"


def read_function(record: Mapping[str, Any]) -> Function:
    """The function of a record of `ministack.services.lambda_svc`."""
    config = record.get("config") or record
    arn = config["FunctionArn"].split(":")
    layers = config.get("Layers") or []
    logging = config.get("LoggingConfig") or {}
    reserved = record.get("concurrency")
    return Function(
        account=arn[4],
        region=arn[3],
        name=config["FunctionName"],
        version=config.get("Version", "$LATEST"),
        handler=config.get("Handler", ""),
        runtime=config.get("Runtime", ""),
        role=config.get("Role", ""),
        timeout=int(config.get("Timeout") or 3),
        memory=int(config.get("MemorySize") or 128),
        storage=int((config.get("EphemeralStorage") or {}).get("Size") or 512),
        variables=tuple(sorted(((config.get("Environment") or {}).get("Variables") or {}).items())),
        code_sha=config.get("CodeSha256", ""),
        layers=tuple(layer["Arn"] if isinstance(layer, dict) else layer for layer in layers),
        log_group=logging.get("LogGroup") or f"/aws/lambda/{config['FunctionName']}",
        reserved=reserved.get("ReservedConcurrentExecutions") if isinstance(reserved, dict) else reserved,
    )
