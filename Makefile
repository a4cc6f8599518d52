# make run [WORKLOAD=name] [DATA=folder] [ARGS="--param MaxDepth=2"]   retrain locally: no AWS, no Docker
# make run-docker [DATA=folder] [ARGS=...]              the same in containers: SageMaker local mode; needs Docker
# make new-workload ARGS="churn2 --from data/ ..."      write a workload from your data files (docs/workloads.md)
# make image                                           build the container image (BASE_IMAGE=name:tag for another base)
# make spark-image                                     build what AggregateOnSpark runs in, for make run-docker
# make targets-image                                   build the whole pipeline as one image (docs/targets.md)
# make kubeflow                                        compile the pipelines for Kubeflow, in an environment of their own
# make targets-environments                            what compiles or checks for other engines, one environment each
# make test [WORKLOAD=name]                            every test; of one workload its own
# make setup                                           what a deploy and the operator's commands need, and nothing else
# make check                                           formatting, lint, types, import rules, stale definition, SageMaker's rules
# make mutation [ONLY=gates]                           change the code that decides, one thing at a time: do tests notice?
# make permissions                                    measure which permission is needed by what; write docs/permissions.md
# make mlflow [ARGS="--port 5001"]                      MLflow's page on the runs of the local store (docs/mlflow.md)
# make lock                                            solve the requirements again (after editing a requirements.in)
# make change-report ENV=prod BASE=origin/main         what a change would do to a deployed environment (docs/ci.md)
# make deploy ENV=dev                                  deploy without a question, as CI does
# make verify ENV=dev [ARGS=--run]                     check what is deployed; with --run start a run and follow it first
# make clean                                           remove the environment and the local store

PYTHON ?= python3
DATA ?=
WORKLOAD ?=
ONLY ?=
ENV ?= dev
BASE ?= origin/main
PULL_REQUEST ?=
ARGS ?=
BIN := .venv/bin
UV_VERSION := 0.13.9
UV := $(BIN)/uv pip
NEW_ENOUGH := -c 'import sys; sys.exit(sys.version_info < (3, 11))'
export PYTHONDONTWRITEBYTECODE :=
export WORKLOAD

.PHONY: setup run run-docker new-workload image spark-image targets-image targets-environments kubeflow test mutation \
	permissions check mlflow lock change-report deploy verify clean
.DELETE_ON_ERROR:

run: .venv/.run
	@$(BIN)/python -m scripts.run_local $(if $(DATA),--data "$(DATA)") $(ARGS)

run-docker: .venv/.all
	@$(BIN)/python -m scripts.build_image --quiet
	@$(BIN)/python -m scripts.run_local --docker $(if $(DATA),--data "$(DATA)") $(ARGS)

new-workload: .venv/.all
	@$(BIN)/python -m scripts.new_workload $(ARGS)

image: .venv/.run
	@$(BIN)/python -m scripts.build_image $(ARGS)

spark-image: .venv/.run
	@$(BIN)/python -m scripts.build_image --spark $(ARGS)

targets-image: .venv/.run
	@$(BIN)/python -m targets.image $(ARGS)

kubeflow: .venv-kubeflow/.all
	@.venv-kubeflow/bin/python -m targets.kubeflow compile

targets-environments: $(patsubst targets/%/requirements.txt,.venv-%/.all,$(wildcard targets/*/requirements.txt))

setup: .venv/.all node_modules/.installed

test: setup
	@$(BIN)/python -m pytest -n 2 $(if $(WORKLOAD),tests/pipeline/workloads/$(WORKLOAD)) $(ARGS)

mutation: setup
	@$(BIN)/python tests/mutation/mutate.py $(ONLY)

permissions: setup
	@WRITE_PERMISSIONS=1 $(BIN)/python -m pytest -q tests/cloud tests/infra/test_permissions_page.py \
		tests/infra/test_expected_settings.py

check: .venv/.all
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pipeline.definition --check
	$(BIN)/python -m targets.kubeflow compile --check
	$(BIN)/python -m targets.azure compile --check
	for spec in pipeline/workloads/*/spec.py; do \
		WORKLOAD=$$(basename $$(dirname $$spec)) $(BIN)/python -m scripts.check_definition || exit 1; \
	done

mlflow: .venv-mlflow/.all
	@.venv-mlflow/bin/python -m scripts.tracking.page $(ARGS)

lock: .venv/.uv
	$(UV) compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		requirements.in -o requirements.txt
	for folder in $$(find pipeline -name requirements.in -exec dirname {} \;); do \
		$(UV) compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
			-c requirements.txt $$folder/requirements.in -o $$folder/requirements.txt || exit 1; \
	done
	for folder in $$(find targets -name requirements.in -exec dirname {} \;); do \
		$(UV) compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
			$$folder/requirements.in -o $$folder/requirements.txt || exit 1; \
	done
	$(UV) compile -q --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
		-c requirements.txt requirements-mlflow.in -o requirements-mlflow.txt

change-report: setup
	@$(BIN)/python -m scripts.change_report --env "$(ENV)" --base "$(BASE)" \
		$(if $(PULL_REQUEST),--pull-request "$(PULL_REQUEST)") $(ARGS)

deploy: setup
	@npx --no-install cdk deploy -c env="$(ENV)" --require-approval never --ci --no-notices $(ARGS)

verify: setup
	@$(BIN)/python -m scripts.check_deployment --env "$(ENV)" $(ARGS) || [ $$? -eq 3 ]

clean:
	rm -rf .venv .venv-* node_modules cdk.out .retrain .hypothesis .pytest_cache .mypy_cache .ruff_cache

# The CDK's command line, in the version that fits the library. Tests that need it skip where npm is missing.
node_modules/.installed: package.json package-lock.json
	@if command -v npm >/dev/null; then \
		echo "installing the CDK command line"; npm ci --silent --no-audit --no-fund && touch $@; \
	else echo "npm not found: the tests that deploy will be skipped"; fi

# The environment. uv installs in a third of pip's time; it is itself installed by pip, into the environment. One that is
# half made, or of an older Python, is made again.
.venv/.uv: Makefile
	@$(PYTHON) $(NEW_ENOUGH) || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3.11"; exit 1; }
	@echo "making the environment in .venv"
	@$(PYTHON) -m venv $$($(BIN)/python $(NEW_ENOUGH) 2>/dev/null || echo --clear) .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)
	@touch $@

.venv/.run: .venv/.uv pipeline/local/requirements.txt
	@echo "installing what a local run needs"
	@test -e .venv/.all || $(UV) install --quiet --python $(BIN)/python --compile-bytecode --require-hashes \
		-r pipeline/local/requirements.txt
	@touch $@

.venv/.all: .venv/.uv requirements.txt
	@echo "installing everything: SageMaker SDK, CDK, test tools"
	@$(UV) install --quiet --python $(BIN)/python --compile-bytecode --require-hashes -r requirements.txt
	@touch .venv/.run $@

# An environment for each engine's own SDK: it needs other versions of packages that are ours as well.
.venv-%/.all: targets/%/requirements.txt .venv/.uv
	@echo "making the environment .venv-$*"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-$*
	@$(UV) install --quiet --python .venv-$*/bin/python --compile-bytecode --require-hashes -r $<
	@touch $@

# An environment of its own, so that .venv has what it needs and no more.
.venv-mlflow/.all: .venv/.uv requirements-mlflow.txt
	@echo "installing MLflow and what a local run needs into .venv-mlflow"
	@$(BIN)/uv venv --quiet --clear --python $(BIN)/python .venv-mlflow
	@$(UV) install --quiet --python .venv-mlflow/bin/python --compile-bytecode --require-hashes -r requirements-mlflow.txt
	@touch $@
