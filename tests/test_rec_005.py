"""The one-object interface: python tests/test_rec_005.py -v, or pytest."""

from __future__ import annotations

import os
import subprocess
import sys
import unittest
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from unittest import mock

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from implement_rec_005 import (  # noqa: E402 - found only with the project's folder on the path
    ImplementAutomateModelRetrainingWithMlPipelines,
    RetrainingError,
)

CREDENTIALS = {
    "AWS_ACCESS_KEY_ID": "test",
    "AWS_SECRET_ACCESS_KEY": "test",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_EC2_METADATA_DISABLED": "true",
}


class ConfigurationTest(unittest.TestCase):
    def test_defaults_are_local_and_enabled(self) -> None:
        impl = ImplementAutomateModelRetrainingWithMlPipelines()
        self.assertEqual((impl.config["mode"], impl.config["enabled"]), ("local", True))

    def test_unknown_keys_and_values_are_refused(self) -> None:
        for config, words in (
            ({"enabeld": True}, "unknown configuration enabeld"),
            ({"mode": "staging"}, 'allowed are "local" and "production"'),
            ({"enabled": "yes"}, "allowed are True and False"),
            ({"parameters": ["MaxDepth"]}, "not a mapping"),
        ):
            with self.subTest(config=config), self.assertRaisesRegex(ValueError, words):
                ImplementAutomateModelRetrainingWithMlPipelines(config=config)

    def test_disabled_does_nothing_and_says_so(self) -> None:
        impl = ImplementAutomateModelRetrainingWithMlPipelines(config={"enabled": False, "mode": "production"})
        impl.setup()
        results = impl.execute()
        self.assertEqual(results["status"], "Disabled")
        self.assertIn("nothing was started", results["reason"])


class LocalTest(unittest.TestCase):
    def setUp(self) -> None:
        folder = TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name)
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(self.folder)

    def test_quick_start_without_config_runs_the_sample(self) -> None:
        impl = ImplementAutomateModelRetrainingWithMlPipelines()
        impl.setup()
        results = impl.execute()
        self.assertEqual((results["status"], results["decision"]), ("Succeeded", "registered"))
        self.assertTrue(results["simulated"])
        self.assertTrue(Path(results["report"]).is_file())
        self.assertTrue((self.folder / ".retrain").is_dir())

    def test_missing_data_and_unknown_parameters_say_what_to_do(self) -> None:
        impl = ImplementAutomateModelRetrainingWithMlPipelines(config={"data": "nowhere"})
        with self.assertRaisesRegex(RetrainingError, "nowhere does not exist"):
            impl.setup()
        impl = ImplementAutomateModelRetrainingWithMlPipelines(config={"parameters": {"MaxDeph": 2}})
        with self.assertRaisesRegex(RetrainingError, "there is no parameter"):
            impl.execute()
        store = str(self.folder / "store")
        impl = ImplementAutomateModelRetrainingWithMlPipelines(config={"data": str(self.folder), "store": store})
        with self.assertRaisesRegex(RetrainingError, "store is inside the data folder .*name a --store outside it"):
            impl.execute()
        Path("taken").touch()
        impl = ImplementAutomateModelRetrainingWithMlPipelines(config={"store": "taken/store"})
        with self.assertRaisesRegex(RetrainingError, "taken/store cannot hold a store: .*move that file away"):
            impl.execute()


class WithoutBoto3Test(unittest.TestCase):
    """In an environment that only `make run` made."""

    def test_production_says_in_one_sentence_what_to_install(self) -> None:
        code = (
            "import sys\n"
            "sys.modules['boto3'] = None\n"  # as if it were not installed
            "from implement_rec_005 import ImplementAutomateModelRetrainingWithMlPipelines as Implementation\n"
            "from implement_rec_005 import RetrainingError\n"
            "implementation = Implementation(config={'mode': 'production'})\n"
            "for call in (implementation.setup, implementation.execute):\n"
            "    try:\n"
            "        call()\n"
            "    except RetrainingError as error:\n"
            "        print(error)\n"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(done.stdout, "boto3 is not installed: make setup, or pip install boto3\n" * 2)


class ProductionTest(unittest.TestCase):
    """Against moto's server on localhost: boto3's real client, real HTTP."""

    def setUp(self) -> None:
        from moto.server import ThreadedMotoServer

        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        self.addCleanup(server.stop)
        host, port = server.get_host_and_port()
        changed = mock.patch.dict(os.environ, {**CREDENTIALS, "AWS_ENDPOINT_URL": f"http://{host}:{port}"})
        changed.start()
        self.addCleanup(changed.stop)

    def test_quick_start_in_production_starts_the_deployed_pipeline(self) -> None:
        import boto3

        client = boto3.client("sagemaker")
        client.create_pipeline(
            PipelineName="retraining",
            PipelineDefinition=(ROOT / "pipeline" / "workloads" / "nba" / "definition.json").read_text(
                encoding="utf-8"
            ),
            RoleArn="arn:aws:iam::123456789012:role/pipeline",
        )
        impl = ImplementAutomateModelRetrainingWithMlPipelines(
            config={"enabled": True, "mode": "production", "parameters": {"TriggerReason": "test"}}
        )
        impl.setup()
        results = impl.execute()
        self.assertEqual(results["status"], "Executing")
        started = client.list_pipeline_executions(PipelineName="retraining")["PipelineExecutionSummaries"]
        self.assertEqual([run["PipelineExecutionArn"] for run in started], [results["execution_arn"]])

    def test_a_pipeline_that_is_not_deployed_is_named(self) -> None:
        impl = ImplementAutomateModelRetrainingWithMlPipelines(config={"mode": "production", "pipeline_name": "other"})
        impl.setup()
        with self.assertRaisesRegex(RetrainingError, "Is other deployed in us-east-1"):
            impl.execute()

    def test_a_page_of_a_proxy_in_place_of_the_answer_is_said(self) -> None:
        class Proxy(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write(b"<html>Sign in</html>")

        with ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
            Thread(target=server.serve_forever, daemon=True).start()
            with mock.patch.dict(os.environ, {"AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}):
                impl = ImplementAutomateModelRetrainingWithMlPipelines(config={"mode": "production"})
                with self.assertRaisesRegex(RetrainingError, "a web page came in place of AWS's answer"):
                    impl.execute()
            server.shutdown()

    def test_a_missing_region_is_named(self) -> None:
        clean = {key: value for key, value in os.environ.items() if not key.startswith("AWS_")}
        with mock.patch.dict(os.environ, clean | {"AWS_CONFIG_FILE": "/nonexistent"}, clear=True):
            impl = ImplementAutomateModelRetrainingWithMlPipelines(config={"mode": "production"})
            with self.assertRaisesRegex(RetrainingError, "AWS_DEFAULT_REGION"):
                impl.setup()


if __name__ == "__main__":
    unittest.main()
