//go:build unix

package interop

import (
	"syscall"
	"testing"
)

// TestVariablesOutliveTheServer kills it: the value that was acknowledged last is
// there afterwards, and what was deleted is not.
func TestVariablesOutliveTheServer(t *testing.T) {
	g := newGrounds(t, listenersOf([]deviceScript{textScript}), "auth: {allow_anonymous: true}\n", nil)
	ok := []byte("START | COMMAND=OK | END\n")
	w := perform(t, g, textScript)
	for _, line := range []string{
		"START | COMMAND=PUB | VARIABLE=temp | VALUE=20 | END\n",
		"START | COMMAND=PUB | VARIABLE=gone | VALUE=1 | END\n",
		"START | COMMAND=PUB | VARIABLE=temp | VALUE=21.5 | END\n",
		"START | COMMAND=DEL | VARIABLE=gone | END\n",
	} {
		w.say([]byte(line))
		w.hear(ok)
	}
	_ = g.halt(syscall.SIGKILL)
	g.start()

	w = perform(t, g, textScript)
	w.say([]byte("START | COMMAND=SUB | VARIABLE=gone | END\nSTART | COMMAND=SUB | VARIABLE=temp | END\n"))
	w.hear(ok)
	w.hear(ok)
	w.hear([]byte("START | COMMAND=SUB | VARIABLE=temp | VALUE=21.5 | END\n"))
	p := g.mqtt(t, "watcher", "text/var/#")
	p.receive("text/var/temp", "21.5")
	p.nothing()
	p.publish("text/var/temp", "22") // not retained: news all the same
	w.hear([]byte("START | COMMAND=SUB | VARIABLE=temp | VALUE=22 | END\n"))
}
