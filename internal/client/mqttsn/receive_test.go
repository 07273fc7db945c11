package mqttsn

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	wire "github.com/iotctl/iotctl/internal/codec/mqttsn"
)

func TestSubscribe(t *testing.T) {
	d := active(t, Config{})
	d.subscribe(1, Named("a/b"), 1).subscribe(2, Named("sn/#"), 2).subscribe(3, Predefined(17), 0).subscribe(4, Short("TT"), 1)
	d.says("0812200001612f62").ignores("0813200002000200", "04150001") // one at a time
	d.later(10 * time.Second).says("0812a00001612f62")
	d.hears("0813200002000100").tells("subscribed 1 code 0 qos 1").says("0912400002736e2f23").ignores("0813200002000100")
	d.hears("0813400000000200").tells("subscribed 2 code 0 qos 2").says("07120100030011")
	d.hears("0813000011000302").tells("subscribed 3 code 2 qos 0").says("07122200045454")
	d.hears("0813200000000400").tells("subscribed 4 code 0 qos 1")
	if err := d.c.Unsubscribe(d.now, Named("a/b"), 5, &d.fx); err != nil {
		t.Fatal(err)
	}
	if err := d.c.Unsubscribe(d.now, Predefined(17), 6, &d.fx); err != nil {
		t.Fatal(err)
	}
	d.says("0814000005612f62").later(10 * time.Second).says("0814000005612f62").hears("04150005").tells("unsubscribed 5").says("07140100060011")
	d.hears("04150006").tells("unsubscribed 6").ignores("04150006")
	// The identifier of SUBACK is known, and may be published to.
	d.hears("090c0000020000.6869").tells("message a/b=hi qos 0")
	d.publish(7, Named("a/b"), 0, "!").says("080c0000020000.21")
}

func TestMessages(t *testing.T) {
	d := active(t, Config{Names: map[uint16]string{17: "known"}})
	d.hears("120a1234010273656e736f72732f74656d70").says("070b1234010200").tells()
	d.hears("090c1012340000.6f6e").tells("message sensors/temp=on qos 0 retain").says("")
	d.hears("090c2012340010.6f6e").says("070d1234001000").tells("message sensors/temp=on qos 1")
	d.hears("090ca012340010.6f6e").says("070d1234001000").tells("message sensors/temp=on qos 1 dup")
	d.hears("080c0254540000.21").tells("message TT=! qos 0")
	d.hears("080c2100110011.21").says("070d0011001100").tells("message known=! qos 1")
	d.hears("070c0012340000").tells("message sensors/temp= qos 0")
	// The identifier comes to mean something else.
	d.hears("070a1234010361").says("070b1234010300").hears("080c0012340000.21").tells("message a=! qos 0")
}

func TestMessagesThatAreRefused(t *testing.T) {
	d := active(t, Config{})
	for hears, says := range map[string]string{
		"080c0077770000.21":  "070d7777000002", // an identifier that nobody has told
		"080c2077770007.21":  "070d7777000702",
		"080c4077770007.21":  "070d7777000702",
		"080c0100110000.21":  "070d0011000002", // a predefined one that is not known here
		"090c03000500006162": "070d0005000003", // no kind of topic
		"060a00050001":       "070b0005000103", // an empty name
		"080a00050001.612b":  "070b0005000103", // a wildcard
		"070a0000000161":     "070b0000000102", // reserved identifiers
		"070affff000161":     "070bffff000102",
	} {
		d.hears(hears).says(says).tells()
	}
	d.ignores(
		"", "00", "01", "0100", "01000316", "021600", "0316", "0203", "02ff", "060c00000500",
		"090c20000500006162", // QoS 1 without MsgId
		"080c625a5a0000.21",  // QoS -1
		"030500",             // CONNACK now
		"0500070384", "030207", "030100", "07040001000078", "0812200009612f62",
		"05fe00aabb0216",
	)
}

func TestPredefinedTopicsWithoutName(t *testing.T) {
	d := active(t, Config{Nameless: true})
	d.hears("080c2100110011.21").says("070d0011001100").tells("message #17=! qos 1")
}

func TestQoS2ComesOnce(t *testing.T) {
	d := active(t, Config{})
	const m, again = "080c4254540005.61", "080cc254540005.61"
	d.hears(m).says("040f0005").tells("message TT=a qos 2")
	d.hears(again, m).says("040f0005 040f0005").tells()
	d.hears("04100005", "04100005").says("040e0005 040e0005").tells()
	d.hears(m).says("040f0005").tells() // a late datagram
	d.hears("080c4254540005.62").says("040f0005").tells("message TT=b qos 2")
	d.hears("04100005").says("040e0005").later(time.Minute).hears("080c4254540005.62").says("040f0005").tells("message TT=b qos 2") // the gateway counts fast
	d.hears("04100999").says("040e0999")
	// A session that goes on remembers, one that starts anew does not.
	d.hears("080c4254540006.63").says("040f0006").tells("message TT=c qos 2")
	for _, clean := range []bool{false, true} {
		d.c.Connect(d.now, clean, &d.fx)
		d.hears("030500").tells("connected").fx.Reset()
		d.hears("080cc254540006.63").says("040f0006")
		if clean {
			d.tells("message TT=c qos 2 dup")
		} else {
			d.tells()
		}
	}
}

func TestReceiptsAreBounded(t *testing.T) {
	d := active(t, Config{})
	for id := range uint16(1000) {
		d.hears("080c425454" + hex4(id+1) + ".61")
		d.fx.Reset()
	}
	if len(d.c.receipts) != maxReceipts {
		t.Errorf("%d receipts", len(d.c.receipts))
	}
}

func TestTopicsAreBounded(t *testing.T) {
	d := active(t, Config{})
	var fx Effects
	for id := range uint16(maxTopics + 10) {
		b, err := wire.Register{TopicID: id + 1, MsgID: 1, Topic: fmt.Sprintf("t/%d", id)}.Append(nil)
		if err != nil {
			t.Fatal(err)
		}
		fx.Reset()
		if err := d.c.Handle(d.now, b, &fx); err != nil {
			t.Fatal(err)
		}
	}
	d.hears("070afffe000161").says("070bfffe000101").hears("070a0001000161").says("070b0001000100") // a new name for an old one
	var names topics
	for id := uint16(1); names.learn(id, strings.Repeat("x", 60000)+hex4(id)); id++ {
		if names.bytes > maxTopicBytes {
			t.Fatal(names.bytes)
		}
	}
	names.forget(1)
	if !names.learn(1, "again") {
		t.Error("no room after one was forgotten")
	}
}

func TestHalt(t *testing.T) {
	d := active(t, Config{})
	d.c.Halt()
	d.ignores("080c2254540005.61", "080c0254540000.61", "080c4254540005.61")
	d.hears("0216").says("0217")
}

func TestReceivingAllocatesNothing(t *testing.T) {
	d := active(t, Config{})
	d.hears("120a1234010273656e736f72732f74656d70")
	one, two, release := unhex(t, "090c2012340010.6f6e"), unhex(t, "090c4012340011.6f6e"), unhex(t, "04100011")
	if n := testing.AllocsPerRun(100, func() {
		d.fx.Reset()
		for _, b := range [][]byte{one, two, release} {
			if err := d.c.Handle(d.now, b, &d.fx); err != nil {
				t.Fatal(err)
			}
		}
	}); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// The dialogue of a client that sleeps, as a gateway of another kind was seen
// to lead it.
func TestSleep(t *testing.T) {
	d := active(t, Config{KeepAlive: 60})
	d.subscribe(1, Named("p12/t"), 1).says("0a12200001.7031322f74").hears("0813200012000100").tells("subscribed 1 code 0 qos 1")
	if err := d.c.Sleep(d.now, 30*time.Second, &d.fx); err != nil {
		t.Fatal(err)
	}
	d.says("0418001e").is(StateDozing).hears("090c2000120001.6f6e").says("070d0012000100").tells("message p12/t=on qos 1") // on its way before
	d.later(10 * time.Second).says("0418001e").hears("0218").tells("asleep").is(StateAsleep)
	d.ignores("0218").later(time.Hour).says("") // the answer to the repetition; and no keep alive
	if err := d.c.Wake(d.now, &d.fx); err != nil {
		t.Fatal(err)
	}
	d.says("031664").is(StateAwake)
	d.later(9 * time.Second).says("").hears("090c2000120001.7330").says("070d0012000100").tells("message p12/t=s0 qos 1")
	d.later(9 * time.Second).says("").later(time.Second).says("031664") // nothing more comes
	d.hears("0b0c0000120000.732d7130", "0217").tells("message p12/t=s-q0 qos 0", "asleep").is(StateAsleep)
	d.ignores("0217").later(time.Hour).says("")
	// What comes all the same is not lost.
	d.hears("090c2000120002.7331").says("070d0012000200").tells("message p12/t=s1 qos 1").is(StateAsleep)
}

func TestNobodyAnswersAPoll(t *testing.T) {
	d := active(t, Config{Retries: 1})
	_ = d.c.Sleep(d.now, 90*time.Minute, &d.fx)
	d.says("04181518").hears("0218").tells("asleep")
	_ = d.c.Wake(d.now, &d.fx)
	d.says("031664").later(20 * time.Second).says("031664").tells("asleep unanswered").is(StateAsleep)
	_ = d.c.Wake(d.now, &d.fx)
	d.says("031664").hears("0218").tells("lost ended").is(StateDisconnected)
}

func TestSleepForAnotherDuration(t *testing.T) {
	d := active(t, Config{})
	for i, duration := range []time.Duration{time.Millisecond, 48 * time.Hour} {
		if err := d.c.Sleep(d.now, duration, &d.fx); err != nil {
			t.Fatal(err)
		}
		d.says([]string{"04180001", "0418ffff"}[i]).hears("0218").tells("asleep")
	}
	_ = d.c.Wake(d.now, &d.fx)
	if err := d.c.Sleep(d.now, time.Minute, &d.fx); err != nil {
		t.Fatal(err)
	}
	d.says("031664 0418003c").hears("0218").tells("asleep")
}

func TestWhatIsOutstandingRestsDuringSleep(t *testing.T) {
	d := active(t, Config{})
	d.publish(1, Short("TT"), 1, "a").subscribe(2, Named("s"), 0).says("080c2254540001.61 0612000002.73")
	_ = d.c.Sleep(d.now, time.Minute, &d.fx)
	d.says("0418003c").hears("0218").tells("asleep")
	d.publish(3, Short("TT"), 0, "b").later(time.Hour).says("")
	d.hears("070d5454000100").tells("published 1 acknowledged sends 1").says("") // late
	d.c.Connect(d.now, false, &d.fx)
	d.says("07040001000064").hears("030500").tells("connected", "published 3 written sends 1").says("0612800002.73 080c0254540000.62")
}

func TestDisconnectFromSleep(t *testing.T) {
	d := active(t, Config{})
	_ = d.c.Sleep(d.now, time.Minute, &d.fx)
	d.hears("0218").tells("asleep").fx.Reset()
	d.c.Disconnect(d.now, &d.fx)
	d.says("0218").hears("0218").tells("disconnected")
	if err := d.c.Wake(d.now, &d.fx); !errors.Is(err, ErrState) {
		t.Error(err)
	}
}
