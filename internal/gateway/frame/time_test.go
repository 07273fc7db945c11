package frame_test

import (
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/frame"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// inBubble runs the life of a device that speaks talk in fake time. ended is
// when the server has closed its side.
func inBubble(t *testing.T, c frame.Config, life func(t *testing.T, d device, ended func() time.Duration)) {
	t.Helper()
	speaking(t, "talk", c, func(t *testing.T, _ *site, d device, ended func() time.Duration) { life(t, d, ended) })
}

// speaking is inBubble for any codec, with a look at the broker.
func speaking(t *testing.T, codec string, c frame.Config, life func(t *testing.T, s *site, d device, ended func() time.Duration)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		inner := transporttest.NewPipeListener()
		l, err := transport.NewListener(inner, "frame://127.0.0.1:0/"+codec, transport.ListenConfig{Schemes: frame.Schemes()})
		if err != nil {
			t.Fatal(err)
		}
		s := serveOn(t, l, c, broker.Config{})
		defer s.stop()
		nc, err := inner.Dial()
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		began := time.Now()
		life(t, s, device{t, nc}, func() time.Duration {
			_ = nc.SetReadDeadline(time.Time{})
			if b, err := io.ReadAll(nc); err != nil && !errors.Is(err, io.ErrClosedPipe) || len(b) > 0 {
				t.Errorf("%x, %v", b, err)
			}
			return time.Since(began)
		})
	})
}

func loggedIn(d device) {
	d.t.Helper()
	d.say("LOGIN dev1\n")
	d.wantsBytes([]byte("OK\n"))
}

const talkSession = "  require: login\n"

func TestWhoDoesNotLogInIsLetGo(t *testing.T) {
	inBubble(t, with("", ""), func(t *testing.T, d device, ended func() time.Duration) {
		time.Sleep(20 * time.Second)
		d.say("DATA 1\n") // gains nothing
		if took := ended(); took != 30*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

func TestWhoSendsNoFrameIsLetGo(t *testing.T) {
	inBubble(t, with("", ""), func(t *testing.T, d device, ended func() time.Duration) {
		loggedIn(d)
		time.Sleep(5 * time.Minute)
		d.say("half a line") // is no frame
		if took := ended(); took != 10*time.Minute {
			t.Errorf("ended after %v", took)
		}
	})
	inBubble(t, with(talkSession, talkSession+"  idle_timeout: 1m\n"), func(t *testing.T, d device, ended func() time.Duration) {
		loggedIn(d)
		time.Sleep(50 * time.Second)
		d.say("DATA 1\n")
		if took := ended(); took != 110*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

func TestOnlyTheMessagesOfTheKeepaliveCount(t *testing.T) {
	c := with(talkSession, talkSession+"  keepalive: {messages: [beat], timeout: 1m}\n")
	inBubble(t, c, func(t *testing.T, d device, ended func() time.Duration) {
		loggedIn(d)
		for range 10 {
			time.Sleep(50 * time.Second)
			d.say("BEAT 1\n")
			d.wantsBytes([]byte("OK\n"))
		}
		time.Sleep(50 * time.Second)
		d.say("DATA 1\n")
		if took := ended(); took != 560*time.Second {
			t.Errorf("ended after %v", took)
		}
	})
}

func TestOnlySilenceEndsAFrame(t *testing.T) {
	c := with(`  - {delimiter: "0a", strip: true}`, `  - {idle_gap: 50ms}`)
	inBubble(t, c, func(t *testing.T, d device, _ func() time.Duration) {
		for _, piece := range []string{"LOG", "IN d", "ev1"} {
			time.Sleep(40 * time.Millisecond)
			d.say(piece)
		}
		d.wantsBytes([]byte("OK\n"))
		d.say("BEAT 1")
		d.wantsBytes([]byte("OK\n"))
	})
}

func TestNoiseHoldsNothingUpForLong(t *testing.T) {
	for codec, c := range map[string]struct{ noise, frame, topic string }{
		"modbus-rtu/plc": {"11 03 FE 00", "11 03 06 02 2B 00 00 00 64 C8 BA", "modbus/plc/17/registers"},
		"dlt645/line":    {"68 00 68 11 22 33 44 68 91 C8", "68 01 00 00 00 00 00 68 93 06 34 33 33 33 33 33 9D 16", "dlt645/line/000000000001/address"},
	} {
		speaking(t, codec, frame.Config{}, func(_ *testing.T, s *site, d device, _ func() time.Duration) {
			o := s.observe("#")
			d.send(c.noise)
			d.send(c.frame)
			o.wants(c.topic, `{}`)
		})
	}
}
