package mqttsn

import (
	"context"
	"encoding/hex"
	"errors"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/iotctl/iotctl/internal/client"
)

// pipe is a client in a bubble, whose time costs nothing, and what it says.
func pipe(t *testing.T, o Options) (*Client, net.Conn, chan string) {
	t.Helper()
	near, far := net.Pipe()
	o.Rand = rand.New(first{})
	o.Dial = func(context.Context) (net.Conn, error) { return near, nil }
	said := make(chan string, 100)
	go func() {
		defer close(said)
		buf := make([]byte, 1<<16)
		for {
			n, err := far.Read(buf)
			if err != nil {
				return
			}
			said <- hex.EncodeToString(buf[:n])
		}
	}()
	c := start(t, o)
	result := async(func() error { _, err := c.Connect(t.Context()); return err })
	if got := <-said; got != "07040401000064" {
		t.Fatal(got)
	}
	tell(t, far, "030500")
	if err := <-result; err != nil {
		t.Fatal(err)
	}
	return c, far, said
}

func tell(t *testing.T, conn net.Conn, words ...string) {
	t.Helper()
	for _, w := range words {
		if _, err := conn.Write(unhex(t, w)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestSleepLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		got := make(chan string, 10)
		o := Options{Options: client.Options{ClientID: "d", CleanStart: true, OnMessage: func(m client.Message) { got <- m.Topic + "=" + string(m.Payload) }}}
		c, gw, said := pipe(t, o)
		if err := c.Doze(10*time.Minute, 20*time.Minute); !errors.Is(err, ErrDoze) {
			t.Error(err)
		}
		if err := c.Doze(10*time.Minute, time.Minute); err != nil {
			t.Fatal(err)
		}
		hear := func(want string) {
			t.Helper()
			if got := <-said; got != strings.ReplaceAll(want, ".", "") {
				t.Fatalf("said %s, want %s", got, want)
			}
		}
		hear("04180258")
		began := time.Now()
		tell(t, gw, "0218")
		for round := range 3 {
			hear("031664")
			if passed := time.Since(began); passed != time.Duration(round+1)*time.Minute {
				t.Errorf("awake after %v", passed)
			}
			time.Sleep(5 * time.Second)
			tell(t, gw, "080c2100110001.78")
			hear("070d0011000100")
			if m := <-got; m != "#17=x" {
				t.Error(m)
			}
			tell(t, gw, "0217")
		}
		// What needs no connection disturbs no sleep.
		publish(t, c, client.Message{Topic: "#17", QoS: MinusOne})
		hear("070c6100110000")
	})
}

func TestSleeperThatIsNotAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, gw, said := pipe(t, Options{Options: client.Options{ClientID: "d", CleanStart: true}, Retries: 1})
		if err := c.Doze(time.Minute, time.Minute); err != nil {
			t.Fatal(err)
		}
		if got := <-said; got != "0418003c" {
			t.Fatal(got)
		}
		tell(t, gw, "0218")
		polls := 0
		for got := range said {
			if got != "031664" {
				t.Error(got)
			}
			polls++
		}
		<-c.Done()
		if !errors.Is(c.Err(), ErrUnanswered) || polls != 4 {
			t.Errorf("%d polls, %v", polls, c.Err())
		}
	})
}

func TestSleeperThatPublishes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, gw, said := pipe(t, Options{Options: client.Options{ClientID: "d", CleanStart: true}})
		if err := c.Doze(time.Minute, time.Minute); err != nil {
			t.Fatal(err)
		}
		script := func(lines ...string) {
			t.Helper()
			for _, line := range lines {
				want, answer, _ := strings.Cut(line, " ")
				if got := <-said; got != want {
					t.Fatalf("said %s, want %s", got, want)
				}
				if answer != "" {
					tell(t, gw, answer)
				}
			}
		}
		script("0418003c 0218")
		synctest.Wait()
		done := publish(t, c, client.Message{Topic: "#17", QoS: 1})
		script("07040001000064 030500", "070c2100110001 070d0011000100")
		if out := <-done; out.Kind != client.Acknowledged {
			t.Errorf("%+v", out)
		}
		script("0418003c 0218", "031664 0217")
		leaving := async(func() error { return c.Disconnect(t.Context(), 0, nil) })
		script("0218 0218")
		if err := <-leaving; err != nil {
			t.Error(err)
		}
	})
}

func TestKeepAliveOfAClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		o := Options{Options: client.Options{ClientID: "d", KeepAlive: 60, Dial: func(context.Context) (net.Conn, error) { return near, nil }}}
		c := start(t, o)
		result := async(func() error { _, err := c.Connect(t.Context()); return err })
		buf := make([]byte, 100)
		hear := func(want string) {
			t.Helper()
			n, err := far.Read(buf)
			if err != nil || hex.EncodeToString(buf[:n]) != want {
				t.Fatalf("%x, %v, want %s", buf[:n], err, want)
			}
		}
		hear("07040001003c64")
		tell(t, far, "030500")
		if err := <-result; err != nil {
			t.Fatal(err)
		}
		for range 3 {
			hear("0216")
			tell(t, far, "0217")
		}
		for range 5 {
			hear("0216")
		}
		<-c.Done()
		if !errors.Is(c.Err(), ErrUnanswered) {
			t.Error(c.Err())
		}
	})
}
