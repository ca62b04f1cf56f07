"""The cluster file is one that Ray takes."""

from pathlib import Path

import pytest

CLUSTER = Path(__file__).parents[2] / "configs" / "cluster" / "ray.yaml"


@pytest.mark.filterwarnings("ignore")
def test_the_cluster_file_fits_rays_own_schema():
    yaml = pytest.importorskip("yaml")
    util = pytest.importorskip("ray.autoscaler._private.util")
    cluster = yaml.safe_load(CLUSTER.read_text())
    util.validate_config(util.prepare_config(cluster))
    with pytest.raises(Exception, match="many"):  # Ray raises jsonschema's errors; the check can fail
        util.validate_config({**cluster, "max_workers": "many"})
