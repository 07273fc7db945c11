package mqttsn

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestPublishByName(t *testing.T) {
	d := active(t, Config{})
	d.publish(1, Named("a/b"), 0, "one").publish(2, Named("a/b"), 0, "two").says("090a00000001612f62").tells()
	d.ignores("070b0005000200") // of another request
	d.hears("070b0005000100").says("0a0c0000050000.6f6e65 0a0c0000050000.74776f")
	d.tells("published 1 written sends 1", "published 2 written sends 1")
	d.publish(3, Named("a/b"), 0, "three").says("0c0c0000050000.7468726565").tells("published 3 written sends 1")
	d.ignores("070b0005000100")
}

func TestPublishWithQoS1(t *testing.T) {
	d := active(t, Config{})
	d.publish(1, Predefined(17), 1, "on").publish(2, Predefined(17), 1, "off").publish(3, Predefined(17), 0, "x")
	d.says("090c2100110001.6f6e")                       // one at a time, and in order
	d.ignores("070d0011000200", "040f0001", "040e0001") // of another message
	d.hears("070d0011000100").tells("published 1 acknowledged sends 1", "published 3 written sends 1")
	d.says("0a0c2100110002.6f6666 080c0100110000.78")
	d.ignores("070d0011000100") // once more
	d.hears("070d0000000200").tells("published 2 acknowledged sends 1")
}

func TestQoS0DoesNotWaitForAnAnswer(t *testing.T) {
	d := active(t, Config{})
	d.publish(1, Short("TT"), 1, "a").publish(2, Short("TT"), 0, "b")
	d.says("080c2254540001.61 080c0254540000.62").tells("published 2 written sends 1")
}

func TestRepetitionHasDup(t *testing.T) {
	d := active(t, Config{Retries: 2})
	d.publish(1, Short("TT"), 1, "a").says("080c2254540001.61").later(20 * time.Second)
	d.says("080ca254540001.61 080ca254540001.61").hears("070d5454000100").tells("published 1 acknowledged sends 3").later(time.Hour).says("")
}

func TestPublishWithQoS2(t *testing.T) {
	d := active(t, Config{})
	d.publish(1, Short("TT"), 2, "a").says("080c4254540001.61").ignores("040e0001")
	d.hears("040f0001").says("04100001").tells()
	d.ignores("070d5454000100")
	d.later(10 * time.Second).says("04100001") // PUBREL is repeated as it is
	d.hears("040f0001").says("04100001")
	d.hears("040e0001").tells("published 1 acknowledged sends 1").ignores("040e0001")
	d.hears("040f0001").says("04100001").tells() // the gateway still asks
}

func TestRefusedPublication(t *testing.T) {
	d := active(t, Config{})
	for qos, code := range []string{"", "03", "02", "01", "04"} {
		if qos == 0 {
			continue
		}
		d.publish(9, Predefined(17), int8(1+qos%2), "x")
		id := d.c.msgID
		d.fx.buf, d.fx.ends = d.fx.buf[:0], d.fx.ends[:0]
		d.hears("070d0011" + hex4(id) + code).tells("published 9 denied " + code[1:] + " sends 1")
	}
}

func hex4(n uint16) string {
	const digits = "0123456789abcdef"
	return string([]byte{digits[n>>12], digits[n>>8&15], digits[n>>4&15], digits[n&15]})
}

func TestRefusedRegister(t *testing.T) {
	d := active(t, Config{})
	d.publish(1, Named("no"), 1, "x").publish(2, Named("no"), 0, "y").publish(3, Short("TT"), 0, "z").says("080a00000001.6e6f")
	d.hears("070b0000000103").tells("published 1 denied 3 sends 0").says("080a00000002.6e6f")
	d.hears("070b0000000201").tells("published 2 denied 1 sends 0", "published 3 written sends 1").says("080c0254540000.7a")
	d.publish(4, Named("no"), 0, "x").says("080a00000003.6e6f").hears("070b0000000300").tells("published 4 denied 2 sends 0")
}

func TestUnknownIdentifierIsRegisteredAgain(t *testing.T) {
	d := active(t, Config{})
	d.publish(1, Named("a/b"), 1, "x").says("090a00000001612f62").hears("070b0005000100").says("080c2000050002.78")
	d.hears("070d0005000202").says("090a00000003612f62").ignores("070d0005000202") // once more
	d.hears("070b0006000300").says("080ca000060002.78")
	d.ignores("070d0005000202") // late
	d.hears("070d0006000200").tells("published 1 acknowledged sends 2")
	// A gateway that never knows what it has registered.
	d.publish(2, Named("a/b"), 1, "x").says("080c2000060004.78")
	for _, id := range []string{"0005", "0006", "0007"} {
		d.hears("070d0006000402").says("090a0000" + id + "612f62").hears("070b0006" + id + "00")
		d.says("080ca000060004.78")
	}
	d.hears("070d0006000402").tells("published 2 denied 2 sends 4")
}

func TestUnknownIdentifierAtQoS0(t *testing.T) {
	d := active(t, Config{})
	d.publish(1, Named("a/b"), 0, "x").hears("070b0005000100").says("090a00000001612f62 080c0000050000.78").tells("published 1 written sends 1")
	d.hears("070d0005000002").tells(`rejected "a/b" code 2`)
	d.publish(2, Named("a/b"), 0, "y").says("090a00000002612f62")
	d.ignores("070d0005000000")
}

func TestCongestion(t *testing.T) {
	d := active(t, Config{Congestion: 5 * time.Minute})
	d.publish(1, Named("a/b"), 1, "x").says("090a00000001612f62").hears("070b0000000101").tells()
	d.publish(2, Short("TT"), 0, "y").later(299 * time.Second).says("").later(time.Second).says("090a00000002612f62")
	d.hears("070b0005000200").says("080c2000050003.78 080c0254540000.79").tells("published 2 written sends 1")
	d.hears("070d0005000301").tells().later(299 * time.Second).says("").later(time.Second).says("080ca000050003.78")
	d.hears("070d0005000300").tells("published 1 acknowledged sends 2")
	d.subscribe(3, Named("#"), 1).says("0612200004.23").hears("0813000000000401").tells()
	d.later(300 * time.Second).says("0612200005.23").hears("0813200000000500").tells("subscribed 3 code 0 qos 1")
}

func TestMinusOneNeedsNoConnection(t *testing.T) {
	d := talk(t, Config{NamedMinusOne: true})
	d.publish(1, Short("ZZ"), -1, "!").says("080c625a5a0000.21").tells("published 1 written sends 1")
	d.publish(2, Predefined(17), -1, "hi").says("090c6100110000.6869")
	d.publish(3, Named("a/b"), -1, "hi").says("0c0c6000030000.612f62.6869")
	d.is(StateDisconnected).later(time.Hour).says("")
}

func TestMessagesSurviveTheConnection(t *testing.T) {
	d := active(t, Config{Retries: -1})
	d.publish(1, Named("a"), 2, "x").says("070a00000001.61").hears("070b0005000100").says("080c4000050002.78")
	d.publish(2, Named("a"), 0, "y").says("080c0000050000.79").tells("published 2 written sends 1")
	d.publish(3, Named("a"), 1, "z").subscribe(4, Named("s"), 0).says("0612000003.73")
	d.later(10 * time.Second).tells("lost unanswered")
	d.publish(5, Named("a"), 0, "w").says("").later(time.Hour).says("")
	// The identifier holds for one connection, the MsgId for the message.
	d.c.Connect(d.now, false, &d.fx)
	d.says("07040001000064").hears("030500").tells("connected").says("0612800003.73 070a00000004.61")
	d.hears("070b0009000400").says("080cc000090002.78").hears("040f0002").says("04100002")
	d.hears("0218").tells("lost ended")
	// Released, it stays so.
	d.c.Connect(d.now, false, &d.fx)
	d.says("07040001000064").hears("030500").tells("connected").says("0612800003.73 04100002 070a00000005.61")
	d.hears("0813000007000300").tells("subscribed 4 code 0 qos 0")
	d.hears("040e0002").tells("published 1 acknowledged sends 2").hears("070b0009000500").says("080c2000090006.7a 080c0000090000.77")
	d.tells("published 5 written sends 1")
}

func TestCleanConnectionRepeatsAndSaysSo(t *testing.T) {
	d := active(t, Config{})
	d.publish(1, Short("TT"), 2, "x").hears("040f0001").says("080c4254540001.78 04100001")
	d.c.Connect(d.now, true, &d.fx)
	d.says("07040401000064").hears("030500").tells("connected").says("080cc254540001.78")
	d.hears("040f0001", "040e0001").says("04100001").tells("published 1 acknowledged sends 2 duplicate")
}

func TestAbandon(t *testing.T) {
	d := active(t, Config{})
	d.publish(1, Short("TT"), 1, "x").publish(2, Short("TT"), 2, "y").publish(3, Short("TT"), 0, "z").subscribe(4, Named("s"), 0).says("080c2254540001.78 0612000002.73")
	d.c.Abandon(&d.fx)
	d.tells("published 1 abandoned sends 1", "published 2 abandoned sends 0", "published 3 abandoned sends 0")
	if !d.c.Idle() {
		t.Error("not idle")
	}
	d.later(time.Hour).says("").ignores("070d5454000100", "0813000000000200")
}

func TestQueueIsBounded(t *testing.T) {
	d := talk(t, Config{MaxQueued: 3})
	for range 3 {
		d.publish(1, Short("TT"), 0, "x").subscribe(1, Named("s"), 0)
	}
	if err := d.c.Publish(d.now, Publication{Topic: Short("TT")}, &d.fx); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
	if err := d.c.Unsubscribe(d.now, Named("s"), 1, &d.fx); !errors.Is(err, ErrFull) {
		t.Error(err)
	}
}

func TestQueueKeepsOrderAndPayloads(t *testing.T) {
	var q publications
	next, first := 0, 0
	for round := range 50 {
		for range round % 7 {
			q.push(Publication{Token: uint64(next), Payload: []byte(strings.Repeat("x", next%9))})
			next++
		}
		for range min(q.len(), round%5) {
			var p publication
			q.take(&p)
			if p.Token != uint64(first) || len(p.Payload) != first%9 {
				t.Fatalf("%d with %d bytes, want %d", p.Token, len(p.Payload), first)
			}
			first++
		}
	}
	if q.len() != next-first {
		t.Fatal(q.len())
	}
}

func TestPublishingAllocatesNothing(t *testing.T) {
	d := active(t, Config{})
	d.publish(1, Named("a/b"), 0, "x").hears("070b0005000100")
	payload, topic := []byte("0123456789"), Named("a/b")
	answer := unhex(t, "070d0005000000")
	if n := testing.AllocsPerRun(100, func() {
		d.fx.Reset()
		for qos := range int8(2) {
			if err := d.c.Publish(d.now, Publication{Topic: topic, Payload: payload, QoS: qos}, &d.fx); err != nil {
				t.Fatal(err)
			}
		}
		answer[4], answer[5] = byte(d.c.msgID>>8), byte(d.c.msgID)
		if err := d.c.Handle(d.now, answer, &d.fx); err != nil {
			t.Fatal(err)
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}
