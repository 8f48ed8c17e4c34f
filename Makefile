# Sets up what is missing, then runs. Every target can be run again at once; nothing asks the network twice.
RUN := @sh scripts/python.sh

.PHONY: install demo cluster wheel docs test test-long bench clean

install:      ## Python environment, browser client and demo, ready to serve
	$(RUN) scripts/install.py

demo: install ## the scene editor on real data; prints its address
	@.venv/bin/sharelite demo

cluster: install ## three nodes of one cell on this machine, each with the demo; prints their addresses
	@.venv/bin/python scripts/cluster.py

wheel: install ## one file with server, client and demo, for `pip install`; prints where it lies
	@rm -rf build && mkdir -p dist
	@.venv/bin/python -m build --wheel --no-isolation --outdir dist . >dist/log 2>&1 || { cat dist/log; exit 1; }
	@rm -rf build && ls dist/sharelite-*.whl

docs: install ## the reference of the browser client, from its source; prints where it lies
	@cd client-js && npm run --silent docs && echo client-js/reference/index.html

test:         ## every test of every language, after linters and type checkers
	$(RUN) scripts/install.py --for-tests
	@.venv/bin/python scripts/test.py

test-long:    ## the long lane: fuzz, power cuts and kill rounds in full numbers
	$(RUN) scripts/install.py --for-tests
	@.venv/bin/python scripts/test.py --long

bench:        ## one table of figures: gate and measured
	$(RUN) scripts/install.py --for-tests
	@.venv/bin/python -m bench

clean:        ## forgets what was built and installed; data directories stay
	rm -rf .venv .install client-js/node_modules client-js/dist client-js/reference demo/node_modules demo/dist server/static/client server/static/demo server/static/places.json.gz
