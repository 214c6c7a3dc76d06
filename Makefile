# One command each; `make` alone lists them. ARGS is handed on: make run ARGS="--rate max"
.DEFAULT_GOAL := help
.PHONY: help run test check broker chaos fuzz faults simulate trials nearest drift replay history clean
ARGS ?=

help: ## list the targets
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile

run: ## install what is missing, then decide ten thousand real loan applications
	@sh deploy/setup.sh demo && exec .venv/bin/tenminute demo $(ARGS)

test: ## the whole test suite, on a real Kafka where Java and Maven are installed
	@sh deploy/setup.sh test && exec .venv/bin/python -m pytest $(ARGS)

check: ## lint, format and types
	@sh deploy/setup.sh test
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

broker: ## a real Kafka on 127.0.0.1:9092 until Ctrl-C; ARGS="FOLDER PORT"
	@sh deploy/setup.sh demo && exec .venv/bin/python -m stream.broker $(ARGS)

fuzz: ## ten minutes of coverage-guided fuzzing of all that a record's bytes reach; MINUTES=1
	@sh deploy/setup.sh test && exec .venv/bin/python tests/fuzz/run.py --minutes $(or $(MINUTES),10)

simulate: ## ten thousand runs of the loop against a broker that fails, each replayable; SEEDS=500, SEED=7
	@sh deploy/setup.sh test && PYTHONPATH=tests exec .venv/bin/python -m simulation $(if $(SEED),--seed $(SEED),--seeds $(or $(SEEDS),10000))

faults: ## lost, late and false answers of Kafka at every step of a transaction, some half an hour
	@sh deploy/setup.sh test && PYTHONPATH=tests exec .venv/bin/python -m faults $(ARGS)

chaos: ## kill, stop and starve the engine and its brokers, and count what it cost; SCENARIO=kill100, SCALE=full, SEED=7
	@sh deploy/setup.sh test && PYTHONPATH=tests exec .venv/bin/python -m chaos $(foreach s,$(SCENARIO),--scenario $(s)) --scale $(or $(SCALE),short) --seed $(or $(SEED),0) $(if $(filter full,$(SCALE)),--keep) $(ARGS)

trials: ## five hundred trials of a challenger in each of ten made-up worlds, some fifteen minutes; TRIALS=50
	@sh deploy/setup.sh test && exec .venv/bin/python bench/trials.py --trials $(or $(TRIALS),500) --out bench/results $(ARGS)

nearest: ## the nearest yes for ten thousand real cases, each then asked for, some ten minutes; CASES=300
	@sh deploy/setup.sh test && PYTHONPATH=tests exec .venv/bin/python -m proofs.nearest --cases $(or $(CASES),10000) $(ARGS)

drift: ## false alarms of the watch on real loans, and how soon planted drift is found; TRIALS=20
	@sh deploy/setup.sh test && PYTHONPATH=tests exec .venv/bin/python -m proofs.drift --trials $(or $(TRIALS),200) $(ARGS)

replay: ## decide a million real loans with a challenger and a shadow in force, and replay the topic; COUNT=2000
	@sh deploy/setup.sh test && PYTHONPATH=tests exec .venv/bin/python -m proofs.replay --count $(or $(COUNT),1000000) $(ARGS)

history: ## decide real loans of 1999 to 2010 again as they came, and write docs/history.md; ARGS="--draws 1"
	@sh deploy/setup.sh test && exec .venv/bin/tenminute history --data ../shared/data --out docs/images $(ARGS)

clean: ## remove the virtual environment, caches and the demo's state
	rm -rf .venv .tenminute .hypothesis .pytest_cache .mypy_cache .ruff_cache build dist
