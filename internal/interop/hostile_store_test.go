//go:build unix

package interop

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// TestHostile_94_DamagedStore damages the directory of a broker that was
// killed: every file cut at multiples of 4 KB, a bit of it flipped, the file
// gone. The broker starts, or ends and says what is wrong. If it starts, it
// serves, and what it has of a queue is its beginning, whole and in order: a log
// that is cut, or damaged where it was written last, cannot be told from one
// that ends there. Failing writes and syncs, a full disk and
// the power cut are tested where the disk can be replaced, in store/pebble.
func TestHostile_94_DamagedStore(t *testing.T) {
	const n = 200
	d := newDaemon(t, unlimited)
	away := d.session(named("away"), false)
	away.subscribe(mqtt.Subscription{Filter: "long", QoS: 1})
	_ = away.nc.Close()
	p := d.session(named("pub"), false)
	for i := range n {
		if i == n/2 { // a log that was replayed, and a new one
			d.restart()
			p = d.session(named("pub"), true)
		}
		p.publish(text("long", fmt.Sprintf("%-200d", i), 1))
	}
	d.kill()
	whole := filepath.Join(d.dir, "whole")
	copyDir(t, d.data(), whole)

	complete, partly, refused := 0, 0, 0
	try := func(what string) {
		t.Helper()
		received, refusal := d.attempt()
		switch {
		case refusal != "":
			refused++
			if strings.Contains(refusal, "panic:") || !strings.Contains(refusal, "iotctl: error: ") {
				t.Errorf("%s: the broker ended with\n%s", what, refusal)
			}
		case received == n:
			complete++
		default:
			partly++
		}
	}
	for _, name := range files(t, whole) {
		info, err := os.Stat(filepath.Join(whole, name))
		if err != nil {
			t.Fatal(err)
		}
		restore := func(change func(b []byte) []byte) {
			t.Helper()
			_ = os.RemoveAll(d.data())
			copyDir(t, whole, d.data())
			path := filepath.Join(d.data(), name)
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if b = change(b); b == nil {
				err = os.Remove(path)
			} else {
				err = os.WriteFile(path, b, info.Mode().Perm())
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		for at := int64(0); at < info.Size(); at += 4 << 10 {
			restore(func(b []byte) []byte { return append([]byte{}, b[:at]...) })
			try(fmt.Sprintf("%s cut at %d of %d", name, at, info.Size()))
		}
		if info.Size() > 0 {
			restore(func(b []byte) []byte { b[len(b)/2] ^= 0x10; return b })
			try(fmt.Sprintf("%s with a flipped bit at %d", name, info.Size()/2))
		}
		restore(func([]byte) []byte { return nil })
		try(name + " removed")
	}
	t.Logf("%d times all was there, %d times the beginning, %d times refused", complete, partly, refused)
	if complete == 0 || refused == 0 {
		t.Error("the damage was of one kind")
	}
}

// attempt starts the broker, which may refuse, and returns how much of the
// queue it still has.
func (d *daemon) attempt() (received int, refusal string) {
	d.t.Helper()
	said := new(output)
	cmd := d.command(said)
	if err := d.run(cmd); err != nil {
		return 0, said.String() + "\n" + cmd.ProcessState.String()
	}
	s, ack := d.exactly(named("away"))
	if ack.Code != mqtt.Success {
		d.t.Errorf("CONNACK %s", ack.Code)
	}
	s.subscribed() // also where the subscription is lost with the session
	marker := d.session(mqtt.Connect{ClientID: "marker", CleanStart: true}, false)
	marker.publish(text("long", "end", 1))
	for m := s.receive(); string(m.Payload) != "end"; m = s.receive() {
		if got := number(m); got != received || len(m.Payload) != 200 {
			d.t.Errorf("received %q, want %d", m.Payload, received)
		}
		received++
	}
	_ = marker.nc.Close()
	_ = s.nc.Close()
	if err := d.halt(syscall.SIGKILL); err != nil {
		d.t.Errorf("the broker ended with %v\n%s", err, said.String())
	}
	return received, ""
}

// subscribed subscribes to the queue's topic while messages of the queue may
// come already: they are put back.
func (e *exact) subscribed() {
	e.t.Helper()
	var early []mqtt.Packet
	e.send(mqtt.Subscribe{PacketID: 1, Filters: []mqtt.Subscription{{Filter: "long", QoS: 1}}})
	for {
		p, err := e.read(patience)
		if err != nil {
			e.t.Fatal(err)
		}
		if _, ok := p.(mqtt.Suback); ok {
			break
		}
		early = append(early, p)
	}
	var b []byte
	for _, p := range early {
		var err error
		if b, err = p.Append(b, mqtt.V5); err != nil {
			e.t.Fatal(err)
		}
	}
	e.in = append(b, e.in...)
}

func files(t *testing.T, dir string) []string {
	t.Helper()
	var all []string
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() {
			rel, _ := filepath.Rel(dir, path)
			all = append(all, rel)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// copyDir copies files, and leaves sockets out.
func copyDir(t *testing.T, from, to string) {
	t.Helper()
	for _, name := range files(t, from) {
		b, err := os.ReadFile(filepath.Join(from, name))
		if err == nil {
			err = os.MkdirAll(filepath.Dir(filepath.Join(to, name)), 0o700)
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}
