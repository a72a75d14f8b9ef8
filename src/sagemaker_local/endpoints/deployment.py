"""One endpoint specification, running: its models unpacked, its variants' workers started."""

from __future__ import annotations

import asyncio
import random
import secrets
import shutil
from dataclasses import replace
from pathlib import Path

from sagemaker_local.endpoints.archive import unpack_model
from sagemaker_local.endpoints.errors import EndpointError, InvokeError
from sagemaker_local.endpoints.spec import Cloud, EndpointSpec, VariantSpec
from sagemaker_local.endpoints.variant import Surroundings, Variant


class Deployment:
    """From start() to retire(). An update of an endpoint starts another one beside it."""

    def __init__(self, spec: EndpointSpec, cloud: Cloud, around: Surroundings) -> None:
        self.spec = spec
        self.variants: dict[str, Variant] = {}
        self._cloud = cloud
        self._folder = around.folder / f"{spec.name}-{secrets.token_hex(4)}"
        self._around = replace(around, folder=self._folder)

    async def start(self) -> None:
        """Fetch the models and start all workers. Raises EndpointError, and then leaves nothing behind."""
        self._folder.mkdir(parents=True)
        starting = [asyncio.ensure_future(self._start_variant(spec)) for spec in self.spec.variants]
        try:
            await asyncio.gather(*starting)
        except BaseException:
            for task in starting:
                task.cancel()
            await asyncio.gather(*starting, return_exceptions=True)
            await self.retire()
            raise

    def choose(self, target: str | None) -> Variant:
        """The variant asked for, or one by weight. Raises InvokeError for an unknown one."""
        if target is not None and target not in self.variants:
            message = (
                f"Variant {target} not found in endpoint {self.spec.name} of account {self._cloud.account}."
            )
            raise InvokeError("ValidationError", 400, message)
        if target is not None:
            return self.variants[target]
        variants = list(self.variants.values())
        if len(variants) == 1:
            return variants[0]
        weights = [variant.weight for variant in variants]
        return random.choices(variants, weights if any(weights) else None)[0]

    async def retire(self) -> None:
        """Drain and stop all workers, remove the unpacked models."""
        await asyncio.gather(*(variant.retire() for variant in self.variants.values()))
        await asyncio.to_thread(shutil.rmtree, self._folder, ignore_errors=True)

    async def _start_variant(self, spec: VariantSpec) -> None:
        model_dir = None
        if spec.model_source is not None:
            model_dir = self._folder / f"model-{spec.name}"
            await asyncio.to_thread(self._fetch_model, spec.model_source, model_dir)
        variant = Variant(spec, model_dir, self._around)
        self.variants[spec.name] = variant
        await variant.start()

    def _fetch_model(self, source: str | Path, model_dir: Path) -> None:
        archive = Path(source)
        if str(source).startswith("s3://"):
            archive = model_dir.with_suffix(".tar.gz")
            try:
                self._cloud.fetch(str(source), archive)
            except OSError as error:
                raise EndpointError(f"Could not access model data at {source}: {error}") from error
        elif not archive.is_file():
            raise EndpointError(f"Could not access model data at {source}: there is no such file.")
        unpack_model(archive, model_dir, str(source), self._around.limits.model_bytes)
        if archive != Path(source):
            archive.unlink()
