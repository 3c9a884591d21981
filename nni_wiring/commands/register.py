"""`register`: make this project's tuners known to NNI by name."""

from __future__ import annotations

import click

from nni_wiring.commands.output import json_option, print_json


@click.command()
@click.option("--remove", is_flag=True, help="Take the tuners out of NNI's list again.")
@json_option
def register(remove: bool, as_json: bool) -> None:
    """Register the tuners with NNI, so that a YAML can say `tuner: {name: WiringEvolution}`.

    Calling it again changes nothing. The list is kept in $NNI_CONFIG_DIR, else in the virtual
    environment.
    """
    from nni.tools.package_utils import AlgoMeta, register_algo_meta, unregister_algo_meta
    from nni.tools.package_utils.config_manager import get_algo_meta

    from nni_wiring.service.nni_tuners import TUNERS

    changed = []
    for tuner in TUNERS:
        name, path = tuner.__name__, f"{tuner.__module__}.{tuner.__qualname__}"
        known = get_algo_meta(name)
        if remove and known is not None:
            unregister_algo_meta(name)
            changed.append(name)
        elif not remove and (known is None or known.class_name != path):
            meta = {"builtinName": name, "className": path}
            register_algo_meta(AlgoMeta.load(meta, "tuner"))
            changed.append(name)
    names = [tuner.__name__ for tuner in TUNERS]
    if as_json:
        print_json({"tuners": names, "changed": changed, "registered": not remove})
        return
    state = "not registered" if remove else "registered"
    for name in names:
        click.echo(f"{name}: {state}{'' if name in changed else ' before'}")
