package gatewaytest

import (
	"sync"
	"testing"
)

func uplink(t *testing.T, st *stage) {
	seen := st.watchUplink(t, "a", "b")
	a, b := st.connect(t, "a"), st.connect(t, "b")
	a.Send("one")
	st.expect(t, seen, "a", "one")
	b.Send("two")
	st.expect(t, seen, "b", "two")
	for _, payload := range []string{"three", "four", "five"} {
		a.Send(payload)
	}
	for _, payload := range []string{"three", "four", "five"} {
		st.expect(t, seen, "a", payload)
	}
}

func downlink(t *testing.T, st *stage) {
	a, b := st.connect(t, "a"), st.connect(t, "b")
	st.down(t, "a", "one")
	st.down(t, "b", "two")
	st.down(t, "a", "three")
	a.receives(t, "one")
	a.receives(t, "three")
	b.receives(t, "two")
	if n := st.attached(); n != 2 {
		t.Errorf("%d devices are attached, want 2", n)
	}
}

func overTLS(t *testing.T, s Subject) {
	st := open(t, s, setting{tls: true})
	seen := st.watchUplink(t, "a")
	a := st.connect(t, "a")
	long := text(1, s.PayloadBytes)
	for _, payload := range []string{"one", long} {
		a.Send(payload)
		st.expect(t, seen, "a", payload)
		st.down(t, "a", payload)
		a.receives(t, payload)
	}
}

var gone = Will{"will/it", "gone"}

func willPublished(t *testing.T, st *stage) {
	seen := st.watch(t, gone.Topic)
	_ = st.connectWill(t, "mortal", &gone).nc.Close()
	if got := await(t, seen); got != Message(gone) {
		t.Errorf("the broker has seen %v", got)
	}
}

func noWill(t *testing.T, st *stage) {
	seen := st.watch(t, gone.Topic)
	polite := st.connectWill(t, "polite", &gone)
	polite.Leave()
	Eventually(t, "the device is detached", func() bool { return st.attached() == 0 })
	st.publish(t, Message{gone.Topic, "marker"})
	if got := await(t, seen); got.Payload != "marker" {
		t.Errorf("the broker has seen %v", got)
	}
}

func leave(t *testing.T, st *stage) {
	c := st.connect(t, "polite")
	st.down(t, "polite", "one")
	c.receives(t, "one")
	c.Leave()
	Eventually(t, "the device is detached", func() bool { return st.attached() == 0 })
}

func lost(t *testing.T, st *stage) {
	c := st.connect(t, "mortal")
	st.down(t, "mortal", "one")
	c.receives(t, "one")
	_ = c.nc.Close()
	Eventually(t, "the device is detached", func() bool { return st.attached() == 0 })
}

func takeOver(t *testing.T, st *stage) {
	seen := st.watchUplink(t, "same")
	first := st.connect(t, "same")
	first.Send("first")
	st.expect(t, seen, "same", "first")
	second := st.connect(t, "same")
	if !st.s.datagrams(st.s.URL) {
		first.nc.ended(t)
	}
	second.Send("second")
	st.expect(t, seen, "same", "second")
	st.down(t, "same", "still here")
	second.receives(t, "still here")
	Eventually(t, "one device is attached", func() bool { return st.attached() == 1 })
}

func mayNotPublish(t *testing.T, st *stage) {
	seen := st.watchUplink(t, "free", muted)
	c, free := st.connect(t, muted), st.connect(t, "free")
	before := st.b.Stats().Dropped()
	c.Send("one")
	Eventually(t, "the message is dropped", func() bool { return st.b.Stats().Dropped() > before })
	free.Send("two")
	st.expect(t, seen, "free", "two")
	st.down(t, muted, "still here")
	c.receives(t, "still here")
}

func refused(t *testing.T, st *stage) {
	nc := st.dialed(t)
	st.s.Refused(t, nc, stranger)
	if !st.s.datagrams(st.s.URL) {
		nc.ended(t)
	}
	if n := st.attached(); n != 0 {
		t.Errorf("%d devices are attached", n)
	}
	friend := st.connect(t, "friend")
	st.down(t, "friend", "welcome")
	friend.receives(t, "welcome")
}

func shutdown(t *testing.T, st *stage) {
	all := []connected{st.connect(t, "a"), st.connect(t, "b")}
	for _, c := range all {
		st.down(t, c.id, "one")
		c.receives(t, "one")
	}
	st.closeWith(t, all)
	if n := st.b.Stats().Connected.Load(); n != 0 {
		t.Errorf("%d clients are still attached", n)
	}
}

// closeListener is what a reload does with a listener that is gone.
func closeListener(t *testing.T, st *stage) {
	seen := st.watchUplink(t, "c")
	c := st.connect(t, "c")
	if err := st.l.Close(); err != nil {
		t.Fatal(err)
	}
	c.Send("still here")
	st.expect(t, seen, "c", "still here")
	st.down(t, "c", "so are we")
	c.receives(t, "so are we")
	st.closeWith(t, []connected{c})
}

// closeWith ends the gateway; each client has to see its connection end.
func (st *stage) closeWith(t *testing.T, all []connected) {
	t.Helper()
	var wg sync.WaitGroup
	if !st.s.datagrams(st.s.URL) {
		for _, c := range all {
			wg.Go(func() { c.nc.ended(t) })
		}
	}
	st.close(t)
	wg.Wait()
}
