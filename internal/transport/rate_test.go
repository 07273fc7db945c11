package transport

import (
	"bytes"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gobwas/ws"
)

func TestByteRatePausesReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, srv := pipePair(t, ListenConfig{ByteRate: Rate{Count: 1000, Per: 10 * time.Second}})
		go func() { _, _ = client.Write(make([]byte, 5000)) }()
		begin := time.Now()
		_ = srv.SetReadDeadline(begin.Add(5 * time.Second)) // pauses do not count
		for got := 0; got < 5000; {
			b, n, err := srv.ReadWith(func() []byte { return make([]byte, 500) })
			if err != nil {
				t.Fatalf("after %d bytes and %s: %v", got, time.Since(begin), err)
			}
			got += len(b[:n])
			_ = srv.SetReadDeadline(time.Now().Add(5 * time.Second))
		}
		// 1,000 at once, then 100 a second; the last read goes into debt.
		if d := time.Since(begin); d < 34*time.Second || d > 41*time.Second {
			t.Errorf("took %s", d)
		}
	})
}

func TestMessageRatePausesReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, srv := pipePair(t, ListenConfig{MessageRate: Rate{Count: 10, Per: time.Second}})
		go func() {
			for range 30 {
				_, _ = client.Write([]byte("m"))
			}
		}()
		begin := time.Now()
		for range 30 {
			if _, err := srv.Read(make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			srv.ChargeMessages(1)
		}
		if d := time.Since(begin); d < 1900*time.Millisecond || d > 2100*time.Millisecond {
			t.Errorf("took %s", d)
		}
	})
}

// One deadline may cover many reads, all of which pause.
func TestPausesMoveTheDeadlineTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, srv := pipePair(t, ListenConfig{MessageRate: Rate{Count: 1, Per: 10 * time.Second}})
		go func() {
			for range 5 {
				_, _ = client.Write([]byte("m"))
			}
		}()
		begin := time.Now()
		_ = srv.SetReadDeadline(begin.Add(time.Second))
		for i := range 5 {
			if _, err := srv.Read(make([]byte, 10)); err != nil {
				t.Fatalf("read %d after %s: %v", i, time.Since(begin), err)
			}
			srv.ChargeMessages(1)
		}
		if _, err := srv.Read(make([]byte, 10)); !isTimeout(err) || time.Since(begin) != 51*time.Second {
			t.Errorf("silence after the pauses: %v after %s", err, time.Since(begin))
		}
	})
}

func TestPausedReadIsInterrupted(t *testing.T) {
	for name, interrupt := range map[string]func(Conn){
		"by a deadline": func(c Conn) { _ = c.SetReadDeadline(time.Now()) },
		"by Close":      func(c Conn) { _ = c.Close() },
	} {
		synctest.Test(t, func(t *testing.T) {
			_, srv := pipePair(t, ListenConfig{MessageRate: Rate{Count: 1, Per: time.Hour}})
			srv.ChargeMessages(100)
			time.AfterFunc(time.Second, func() { interrupt(srv) })
			begin := time.Now()
			if _, err := srv.Read(make([]byte, 1)); err == nil || time.Since(begin) != time.Second {
				t.Errorf("%s: %v after %s", name, err, time.Since(begin))
			}
		})
	}
}

func TestADeadlineThatIsSetDuringAPauseEndsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, srv := pipePair(t, ListenConfig{MessageRate: Rate{Count: 1, Per: time.Hour}})
		srv.ChargeMessages(100)
		time.AfterFunc(time.Second, func() { _ = srv.SetReadDeadline(time.Now().Add(5 * time.Second)) })
		begin := time.Now()
		if _, err := srv.Read(make([]byte, 1)); !isTimeout(err) || time.Since(begin) != 6*time.Second {
			t.Errorf("%v after %s", err, time.Since(begin))
		}
	})
}

func TestNoRateHoldsBackTheEnd(t *testing.T) {
	for name, when := range map[string]time.Duration{"before the read": -1, "during the read": time.Second} {
		synctest.Test(t, func(t *testing.T) {
			client, srv := pipePair(t, ListenConfig{MessageRate: Rate{Count: 1, Per: time.Hour}})
			srv.ChargeMessages(100)
			_ = srv.SetReadDeadline(time.Now().Add(5 * time.Second))
			if when < 0 {
				_ = srv.CloseWrite()
			} else {
				time.AfterFunc(when, func() { _ = srv.CloseWrite() })
			}
			go func() { _, _ = io.WriteString(client, "late") }()
			begin := time.Now()
			if b, err := io.ReadAll(srv); string(b) != "late" || !isTimeout(err) || time.Since(begin) != 5*time.Second {
				t.Errorf("%s: %q, %v after %s", name, b, err, time.Since(begin))
			}
		})
	}
}

func TestParseRate(t *testing.T) {
	for s, want := range map[string]Rate{
		"100/10s":   {100, 10 * time.Second},
		"100KB/10s": {100 << 10, 10 * time.Second},
		"2 MB / 1m": {2 << 20, time.Minute},
		"5B/s":      {5, time.Second},
		"1000":      {1000, time.Second},
		"":          {},
		"0":         {},
		"0/1s":      {},
	} {
		var r Rate
		if err := r.UnmarshalText([]byte(s)); err != nil || r != want {
			t.Errorf("%q: %v, %v", s, r, err)
		}
		if again, err := ParseRate(r.String()); err != nil || again != r {
			t.Errorf("%q: %q is read as %v, %v", s, r, again, err)
		}
	}
	for _, s := range []string{"x", "/", "-1/s", "1/0s", "1/-1s", "1/x", "99999999999GB/s", "1.5/s"} {
		if r, err := ParseRate(s); err == nil {
			t.Errorf("%q: %v", s, r)
		}
	}
}

func TestByteRateHoldsFramesWithoutPayload(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const pings, size = 100, 106 // bytes of a frame
		client, srv := pipePairAt(t, "ws://127.0.0.1", ListenConfig{ByteRate: Rate{Count: pings * size, Per: 10 * time.Second}})
		go func() {
			_, _ = io.WriteString(client, upgradeRequest+"Sec-WebSocket-Protocol: mqtt\r\n\r\n")
			for range 3 {
				_, _ = client.Write(bytes.Repeat(masked(ws.OpPing, true, make([]byte, size-6)), pings))
			}
			_, _ = client.Write(masked(ws.OpBinary, true, []byte("x")))
		}()
		go func() { _, _ = io.Copy(io.Discard, client) }()
		begin := time.Now()
		if n, err := srv.Read(make([]byte, pings*size)); n != 1 || err != nil {
			t.Errorf("%d, %v", n, err)
		}
		if took := time.Since(begin).Round(time.Second); took != 20*time.Second { // the first period's are free
			t.Errorf("took %v", took)
		}
	})
}
