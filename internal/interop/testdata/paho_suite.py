"""Run one suite of a paho.mqtt.testing checkout against a broker.

usage: paho_suite.py CHECKOUT client_test|client_test5 HOST PORT

The suites' own main functions differ in how they read their arguments, so
this sets the module variables that they would have set. One line of JSON per
test goes to standard output; what the suites print goes to standard error.
"""
import importlib
import json
import logging
import os
import signal
import sys
import time
import unittest

checkout, suite, host, port = sys.argv[1:5]
report, sys.stdout = sys.stdout, sys.stderr
os.chdir(os.path.join(checkout, "interoperability"))
sys.path.insert(0, os.getcwd())
logging.getLogger().setLevel(logging.ERROR)

prefix = "client_test5/" if suite == "client_test5" else ""
module = importlib.import_module(suite)
module.host, module.port, module.topic_prefix = host, int(port), prefix
module.topics = [prefix + t for t in ("TopicA", "TopicA/B", "Topic/C", "TopicA/C", "/TopicA")]
module.wildtopics = [prefix + t for t in ("TopicA/+", "+/C", "#", "/#", "/+", "+/+", "TopicA/#")]
module.nosubscribe_topics = ("test/nosubscribe",)


subscribe = module.mqtt_client.Client.subscribe


def subscribe_and_wait(self, *args, **options):
    # Some tests wait for the SUBACK of the wrong client before they publish.
    result = subscribe(self, *args, **options)
    time.sleep(0.1)
    return result


module.mqtt_client.Client.subscribe = subscribe_and_wait

LIMIT = 60  # seconds per test; some wait for ever for a packet that never comes


def give_up(*_):
    raise TimeoutError("no end after %d s" % LIMIT)


signal.signal(signal.SIGALRM, give_up)


class Result(unittest.TextTestResult):
    def startTest(self, test):
        self.began, self.outcome = time.time(), ("pass", "")
        # Again and again, because the clients swallow exceptions.
        signal.setitimer(signal.ITIMER_REAL, LIMIT, 0.1)
        super().startTest(test)

    def addError(self, test, err):
        super().addError(test, err)
        self.outcome = ("error", self.errors[-1][1])

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.outcome = ("fail", self.failures[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.outcome = ("skip", reason)

    def stopTest(self, test):
        signal.setitimer(signal.ITIMER_REAL, 0)
        super().stopTest(test)
        result, detail = self.outcome
        name = test.id().rsplit(".", 1)[-1]
        seconds = round(time.time() - self.began, 1)
        print(json.dumps({"test": name, "result": result, "detail": detail, "seconds": seconds}), file=report, flush=True)


tests = unittest.defaultTestLoader.loadTestsFromModule(module)
unittest.TextTestRunner(stream=sys.stderr, resultclass=Result).run(tests)
report.flush()
os._exit(0)  # the suites leave receiver threads behind
