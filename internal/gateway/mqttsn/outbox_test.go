package mqttsn

import (
	"strings"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/message"
)

func TestTopicsAreRegisteredWhenAClientComesBack(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Topics.RegisterOnResume = true })
	r.play(`
		publish a/b 0 x
		G 090a 0001 0064 "a/b"
		C 070b 0001 0064 00
		G 080c 00 0001 0000 "x"
		publish c/d 0 x
		G 090a 0002 0065 "c/d"
		C 070b 0002 0065 00
		G 080c 00 0002 0000 "x"
		publish e/f 0 x
		G 090a 0003 0066 "e/f"
		C 070b 0003 0066 03
		C 0418 003c
		G 0218
		publish c/d 0 y
		publish c/d 1 z
		C 0904 00 01 003c "dev"
		G 0305 00
		G 090a 0001 0067 "a/b"
		C 0904 00 01 003c "dev"
		G 0305 00
		G 090a 0001 0068 "a/b"
		C 070b 0001 0068 00
		G 090a 0002 0069 "c/d"
		C 070b 0002 0069 00
		G 080c 00 0002 0000 "y"
		G 080c 20 0002 03e8 "z"
		C 0904 00 01 003c "dev"
		G 0305 00
		G 090a 0001 006a "a/b"
		C 070b 0001 006a 03
		G 090a 0002 006b "c/d"
		C 070b 0002 006b 00
		G 080c a0 0002 03e8 "z"
		C 070d 0002 03e8 00
		publish a/b 0 no`)
	if r.c.out.queue != nil {
		t.Error("something is left")
	}
}

func TestWakeIsBounded(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Sleep.MaxPerWake = 2 })
	r.play(`
		C 0418 003c
		G 0218
		publish ab 1 1
		publish ab 1 2
		publish ab 1 3
		C 0516 "dev"
		G 080c 22 6162 03e8 "1"
		publish ab 1 4
		C 070d 6162 03e8 00
		G 080c 22 6162 03e9 "2"
		C 070d 6162 03e9 00
		G 0217
		C 0516 "dev"
		G 080c 22 6162 03ea "3"
		publish ab 0 5
		C 070d 6162 03ea 00
		G 080c 22 6162 03eb "4"
		C 070d 6162 03eb 00
		G 0217
		C 0516 "dev"
		G 080c 02 6162 0000 "5"
		G 0217`)
	r = newRig(t, nil)
	r.play(`
		C 0418 003c
		G 0218
		publish ab 1 1
		C 0516 "dev"
		G 080c 22 6162 03e8 "1"
		publish ab 1 2
		advance 8s
		C 0516 "dev"
		G 080c a2 6162 03e8 "1"
		advance 8s
		C 0516 "dev"
		G 080c a2 6162 03e8 "1"
		advance 8s
		C 0516 "dev"
		G 080c a2 6162 03e8 "1"
		advance 8s
		C 070d 6162 03e8 00
		G 0217`)
}

func TestAddressThatHasNotShownThatItReceives(t *testing.T) {
	unproved := func(t *testing.T, received int) *rig {
		r := newRig(t, nil)
		r.c.out.proved, r.c.out.told = false, false
		r.c.out.count(r.c, received)
		return r
	}
	t.Run("QoS 1 shows it", func(t *testing.T) {
		unproved(t, 3).play(`
			publish ab 1 x
			G 080c 22 6162 03e8 "x"
			C 070d 6162 03e8 00
			validated`)
	})
	t.Run("a wrong MsgId does not", func(t *testing.T) {
		r := unproved(t, 3)
		r.play(`
			publish ab 1 x
			G 080c 22 6162 03e8 "x"
			C 070d 6162 03e7 00`)
		if r.c.out.proved {
			t.Error("validated")
		}
	})
	t.Run("one repetition", func(t *testing.T) {
		unproved(t, 30).play(`
			publish ab 1 x
			G 080c 22 6162 03e8 "x"
			advance 11s
			G 080c a2 6162 03e8 "x"
			advance 32s
			advance 12s
			lost`)
	})
	t.Run("no more than the budget", func(t *testing.T) {
		unproved(t, 2).play(`
			publish ab 1 x
			advance 60s
			C 0216
			G 0217
			G 080c 22 6162 03e8 "x"
			C 070d 6162 03e8 00
			publish ab 1 12345678901234567890123456789012345678901234567890
			G 390c 22 6162 03e9 "12345678901234567890123456789012345678901234567890"`)
	})
	t.Run("REGISTER asks for it when the message is too long", func(t *testing.T) {
		unproved(t, 5).play(`
			publish ab 1 12345678901234567890
			G 080a 0001 0064 "ab"
			C 070b 0001 0064 03
			validated
			G 1b0c 22 6162 03e8 "12345678901234567890"`)
	})
	t.Run("the last of it is for a REGISTER", func(t *testing.T) {
		r := unproved(t, 8)
		r.play(`
			publish ab 0 x
			G 080c 02 6162 0000 "x"
			publish ab 0 x
			G 080c 02 6162 0000 "x"
			publish ab 0 x
			G 080a 0001 0064 "ab"
			publish ab 0 y
			C 070b 0001 0064 00
			G 080c 02 6162 0000 "x"
			G 080c 02 6162 0000 "y"
			publish ab 0 z
			G 080c 02 6162 0000 "z"`)
	})
}

func TestUnprovedAddressGetsAtMostThreeTimesWhatItSends(t *testing.T) {
	r := newRig(t, nil)
	r.play("move")
	in, out := 0, 0
	for i := range 2000 {
		r.publish([]string{"ab", "a/b", "some/longer/topic"}[i%3], uint8(i%3), strings.Repeat("x", i%40))
		if i%7 == 0 {
			r.receive([]byte{2, 0x16})
			in += 2
		}
		r.advance(time.Second)
		for _, b := range r.air.sent {
			out += len(b)
		}
		r.air.sent = nil
		if out > 3*in {
			t.Fatalf("%d bytes sent for %d", out, in)
		}
	}
	if out == 0 {
		t.Error("nothing was sent at all")
	}
}

func TestWhatWaitsIsBounded(t *testing.T) {
	r := newRig(t, func(c *Config) { c.Sleep.MaxMessages = 3 })
	r.play(`
		C 0418 003c
		G 0218
		publish ab 1 keep
		publish ab 0 1
		publish ab 0 2
		publish ab 0 3
		publish ab 0 4
		C 0516 "dev"
		G 0b0c 22 6162 03e8 "keep"
		C 070d 6162 03e8 00
		G 080c 02 6162 0000 "3"
		G 080c 02 6162 0000 "4"
		G 0217`)
	if n := r.g.counts.sleepDropped.Load(); n != 2 {
		t.Errorf("%d counted, want 2", n)
	}
	r = newRig(t, func(c *Config) { c.Sleep.MaxBytes, c.Sleep.Drop = 300, dropNewest })
	r.play(`
		C 0418 003c
		G 0218
		publish ab 0 1
		publish ab 0 2
		publish ab 0 3
		publish ab 0 4
		publish ab 1 keep
		C 0516 "dev"
		G 080c 02 6162 0000 "1"
		G 080c 02 6162 0000 "2"
		G 080c 02 6162 0000 "3"
		G 0b0c 22 6162 03e8 "keep"
		C 070d 6162 03e8 00
		G 0217`)
	r = newRig(t, func(c *Config) { c.Sleep.MaxTotalBytes = 250 })
	r.play(`
		C 0418 003c
		G 0218
		publish ab 0 1
		publish ab 1 keep
		publish ab 0 2
		publish ab 0 3
		C 0516 "dev"
		G 0b0c 22 6162 03e8 "keep"
		C 070d 6162 03e8 00
		G 080c 02 6162 0000 "2"
		G 080c 02 6162 0000 "3"
		G 0217`)
	if n := r.g.lent.Load(); n != 0 {
		t.Errorf("%d bytes wait", n)
	}
	r = newRig(t, func(c *Config) { c.Sleep.MaxTotalBytes = 120 })
	r.play(`
		C 0418 003c
		G 0218
		publish ab 0 1`)
	r.g.lent.Add(1000) // of others
	r.play(`
		publish ab 0 2
		C 0516 "dev"
		G 0217`)
	no := false
	r = newRig(t, func(c *Config) { c.Sleep.QoS0 = &no })
	r.play(`
		C 0418 003c
		G 0218
		publish ab 0 1
		C 0516 "dev"
		G 0217
		publish ab 0 1`)
}

func TestWhatWaitsIsForgottenWithTheClient(t *testing.T) {
	r := newRig(t, nil)
	r.play(`
		C 0418 003c
		G 0218
		publish ab 0 1
		publish ab 1 2
		publish ab 0 3`)
	before := r.g.lent.Load()
	r.c.out.discard()
	if after := r.g.lent.Load(); before == 0 || after != 0 || r.c.out.queue != nil {
		t.Errorf("%d bytes waited, %d do", before, after)
	}
}

func TestMessageThatWaitedTooLongIsDropped(t *testing.T) {
	r := newRig(t, nil)
	r.play(`
		C 0418 003c
		G 0218`)
	soon := &message.Message{Topic: "ab", Payload: []byte("x"), Expires: r.now.Add(time.Minute)}
	r.c.out.deliver(r.c, &message.Delivery{Message: soon})
	r.play(`
		publish ab 0 y
		advance 61s
		C 0516 "dev"
		G 080c 02 6162 0000 "y"
		G 0217`)
	if n := r.g.counts.expired.Load(); n != 1 {
		t.Errorf("%d counted", n)
	}
}

func TestFits(t *testing.T) {
	r := newRig(t, func(c *Config) { c.MaxDatagram, c.Topics.MaxPerClient = 60, 1 })
	fits := func(topic string, payload int) bool {
		return r.c.fits(&message.Delivery{Message: &message.Message{Topic: topic, Payload: make([]byte, payload)}})
	}
	long := strings.Repeat("t", 55)
	if !fits("ab", 53) || fits("ab", 54) || !fits("a/b", 53) || fits(long, 1) {
		t.Error("not by the size of the datagrams")
	}
	id, _, ok := r.c.topicID(long)
	if r.c.toldTopic(id); !ok || !fits(long, 53) {
		t.Error("a topic that the client knows needs no REGISTER")
	}
	if fits("a/b", 1) {
		t.Error("there are too many topics")
	}
	if n := r.g.counts.oversize.Load(); n != 2 {
		t.Errorf("%d counted as too large, want 2", n)
	}
}

func TestReleaseOfAnEarlierConnection(t *testing.T) {
	r := newRig(t, nil)
	r.out = &message.Delivery{PacketID: 1, QoS: 2, Release: true}
	r.deliver()
	r.play(`
		G 0410 03e8
		advance 11s
		G 0410 03e8
		C 040e 03e8
		told {3 1}`)
}

func TestMsgIDsAreShiftedWithinTheirSpace(t *testing.T) {
	o := &outbox{}
	for _, base := range []uint16{0, 1, 999, 65534, 65535} {
		o.base = base
		seen := map[uint16]bool{}
		for id := 1; id <= 65535; id++ {
			seen[o.wireID(uint16(id))] = true
		}
		if len(seen) != 65535 || seen[0] {
			t.Errorf("base %d: %d values, 0 among them: %v", base, len(seen), seen[0])
		}
	}
}

func TestQoS0AllocatesNothing(t *testing.T) {
	r := newRig(t, nil)
	r.air.discard = true
	id, _, _ := r.c.topicID("site/7/temperature")
	r.c.toldTopic(id)
	d := &message.Delivery{Message: &message.Message{Topic: "site/7/temperature", Payload: []byte("21.5")}}
	if n := testing.AllocsPerRun(1000, func() { r.c.out.deliver(r.c, d) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
	if r.g.counts.out[0x0c].Load() == 0 {
		t.Error("nothing was sent")
	}
}

func BenchmarkDeliverQoS0(b *testing.B) {
	r := newRig(b, nil)
	r.air.discard = true
	id, _, _ := r.c.topicID("site/7/temperature")
	r.c.toldTopic(id)
	d := &message.Delivery{Message: &message.Message{Topic: "site/7/temperature", Payload: []byte("21.5")}}
	b.ReportAllocs()
	for b.Loop() {
		r.c.out.deliver(r.c, d)
	}
}
