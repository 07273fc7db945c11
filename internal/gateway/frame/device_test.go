package frame_test

import (
	"crypto/rand"
	"crypto/tls"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/iotctl/iotctl/internal/auth"
	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/gateway/frame"
	"github.com/iotctl/iotctl/internal/gateway/gatewaytest"
	"github.com/iotctl/iotctl/internal/store"
	"github.com/iotctl/iotctl/internal/store/mem"
	"github.com/iotctl/iotctl/internal/transport"
	"github.com/iotctl/iotctl/internal/transport/transporttest"
)

// Frames of a GT06 tracker with the IMEI 123456789012345.
const (
	gt06Login     = "78 78 0D 01 01 23 45 67 89 01 23 45 00 01 8C DD 0D 0A"
	gt06LoggedIn  = "78 78 05 01 00 01 D9 DC 0D 0A"
	gt06Heartbeat = "78 78 0A 13 40 04 04 00 01 00 0F DC EE 0D 0A"
	gt06Beaten    = "78 78 05 13 00 0F 00 8F 0D 0A"
	gt06Other     = "78 78 0D 01 08 64 71 70 03 28 35 81 00 09 3F 04 0D 0A" // the login of another one
	gt06ID        = "123456789012345"
)

// login is a GT06 tracker that is logged in.
func (s *site) login() device {
	s.t.Helper()
	d := s.dial()
	d.send(gt06Login)
	d.wants(gt06LoggedIn)
	return d
}

// talk is a protocol of lines with a login, a password and a refusal.
const talk = `
codec: talk
doc: lines with a login
framing:
  - {delimiter: "0a", strip: true}
max_frame: 65536
fields:
  - {name: kind, type: str, until: "20"}
  - {name: text, type: str, size: rest}
  - name: _
    type: switch
    by: kind
    cases:
      HELLO: {message: hello, reply: "'WHO' 0a"}
      LOGIN: {message: login, device_id: text, reply: "'OK' 0a", refuse: "'NO' 0a"}
      BEAT: {message: beat, reply: "'OK' 0a"}
    default: {message: data}
session:
  before: hello
  require: login
uplink: {topic: "talk/${device_id}/${message}", payload: field:text}
downlink:
  topic: "talk/${device_id}/down"
  payload: raw
  encode: "'> ' {payload} 0a"
`

// with is talk with some text replaced.
func with(old, new string) frame.Config {
	src := strings.Replace(talk, old, new, 1)
	if src == talk && old != "" {
		panic("nothing to replace")
	}
	return frame.Config{Codecs: []frame.Definition{{Name: "talk.yaml", Source: src}}}
}

func TestWhatMayNotBePublishedIsAnsweredAllTheSame(t *testing.T) {
	s := start(t, "gt06", frame.Config{}, broker.Config{Authorizer: gatewaytest.Denies(auth.Publish)})
	o := s.observe("#")
	d := s.login()
	d.send(gt06Heartbeat)
	d.wants(gt06Beaten)
	o.nothing()
	if n := s.g.Counters()["denied"]; n != 2 {
		t.Errorf("%d denied", n)
	}
}

func TestADeviceThatMayNotBeSentCommandsMaySpeak(t *testing.T) {
	s := start(t, "gt06", frame.Config{}, broker.Config{Authorizer: gatewaytest.Denies(auth.Subscribe)})
	o := s.observe("#")
	d := s.login()
	o.next()
	if n := o.publish("gt06/"+gt06ID+"/down", `{"cmd":"raw","hex":"0102"}`); n != 1 {
		t.Errorf("a command reaches %d", n)
	}
	o.next()
	d.send(gt06Heartbeat)
	o.wants("gt06/"+gt06ID+"/heartbeat", `{}`)
}

func TestWhatTheStoreHasNoRoomForIsNotAnswered(t *testing.T) {
	full := &fullStore{Store: mem.New()}
	s := start(t, "talk", with(`uplink: {`, `uplink: {qos: 1, `), broker.Config{Store: full})
	o := s.observe("talk/#")
	s.durable("talk/#")
	d := s.dial()
	d.say("LOGIN dev1\n")
	d.wantsBytes([]byte("OK\n"))
	o.wants("talk/dev1/login", "dev1")
	full.full.Store(true)
	d.say("BEAT 1\n")
	s.log.Wants(t, "request refused")
	full.full.Store(false)
	d.say("BEAT 2\n")
	o.wants("talk/dev1/beat", "2")
	d.wantsBytes([]byte("OK\n"))
	_ = d.nc.Close()
}

func TestCommandsThatNoFrameCanBeMadeOfAreCounted(t *testing.T) {
	s := start(t, "gt06", frame.Config{}, broker.Config{})
	o := s.observe("#")
	d := s.login()
	o.next()
	for _, payload := range []string{"not JSON", `{}`, `{"cmd":"dance"}`, `{"cmd":"command"}`, ""} {
		o.publish("gt06/"+gt06ID+"/down", payload)
	}
	o.publish("gt06/"+gt06ID+"/down", `{"cmd":"raw","hex":"0102"}`)
	d.wants("0102")
	if n := s.g.Counters()["downlink_failed"]; n != 5 {
		t.Errorf("%d failed", n)
	}
	s.log.Wants(t, "no frame can be made of it")
}

func TestACommandWithTheDelimiterIsNotTwo(t *testing.T) {
	s := start(t, "lines/hall", frame.Config{}, broker.Config{})
	o := s.observe("#")
	d := s.dial()
	d.say("hello\n")
	o.wants("lines/hall/up", "hello")
	o.publish("lines/hall/down", "on\nreboot")
	o.publish("lines/hall/down", "off")
	d.wantsBytes([]byte("off\n"))
}

func TestUDP(t *testing.T) {
	s := listen(t, "frame+udp://127.0.0.1:0/gt06", transport.ListenConfig{}, frame.Config{}, broker.Config{})
	o := s.observe("#")
	d := s.dial()
	d.send(gt06Login)
	d.wants(gt06LoggedIn)
	o.wants("gt06/"+gt06ID+"/login", `{}`)
	d.send(gt06Heartbeat + gt06Heartbeat) // two frames in a datagram
	o.wants("gt06/"+gt06ID+"/heartbeat", `{}`)
	o.wants("gt06/"+gt06ID+"/heartbeat", `{}`)
	d.send("78 78 0A 13") // cut
	d.send(gt06Heartbeat)
	o.wants("gt06/"+gt06ID+"/heartbeat", `{}`)
	o.publish("gt06/"+gt06ID+"/down", `{"cmd":"raw","hex":"0102"}`)
	o.next()
	d.wants(gt06Beaten)
}

func TestTLS(t *testing.T) {
	ca := transporttest.NewCA(t, "test")
	s := listen(t, "frames://127.0.0.1:0/lines/${cn}", transport.ListenConfig{TLS: &transport.ServerTLS{
		Certificates: []tls.Certificate{ca.Server(t, nil, "127.0.0.1")}, ClientCAs: ca.Pool(), ClientAuth: transport.ClientCertRequest,
	}}, frame.Config{}, broker.Config{})
	o := s.observe("#")
	dial := func(certificates ...tls.Certificate) device {
		nc, err := tls.Dial("tcp", s.addr, &tls.Config{RootCAs: ca.Pool(), Certificates: certificates})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = nc.Close() })
		return device{t, nc}
	}
	dial(ca.Client(t, nil, "sensor-1")).say("21.5\n")
	o.wants("lines/sensor-1/up", "21.5")
	dial().closed("")
	s.log.Wants(t, "no certificate that names it")
}

func TestDevicesWithoutNamesAreCalledWhatTheSettingsSay(t *testing.T) {
	s := start(t, "lines", frame.Config{DeviceID: "${ip}-x"}, broker.Config{})
	o := s.observe("#")
	s.dial().say("1\n")
	o.wants("lines/127.0.0.1-x/up", "1")
	s = start(t, "lines", frame.Config{}, broker.Config{})
	o = s.observe("#")
	d := s.dial()
	d.say("1\n")
	o.wants(fmt.Sprintf("lines/%s/up", strings.Replace(d.nc.LocalAddr().String(), ":", "_", 1)), "1")
}

func TestAFloodOfGarbageEnds(t *testing.T) {
	s := start(t, "gt06", frame.Config{}, broker.Config{})
	o := s.observe("#")
	good := s.login()
	o.next()
	garbage := make([]byte, 1<<20)
	_, _ = rand.Read(garbage)
	bad := s.dial()
	var wg sync.WaitGroup
	wg.Go(func() {
		for range 16 {
			if _, err := bad.nc.Write(garbage); err != nil {
				return
			}
		}
		t.Error("16 MiB of garbage were read")
	})
	wg.Wait()
	s.log.Wants(t, "reason=protocol")
	good.send(gt06Heartbeat)
	good.wants(gt06Beaten)
}

func TestPreamblesAreNoGarbage(t *testing.T) {
	s := start(t, "dlt645/line1", frame.Config{}, broker.Config{})
	o := s.observe("#")
	d := s.dial()
	const frames, preamble = 300, 512 // 150 KB of FE, which is more than a flood may have
	var wg sync.WaitGroup
	wg.Go(func() {
		for range frames {
			d.send(strings.Repeat("FE", preamble) + "68 01 00 00 00 00 00 68 93 06 34 33 33 33 33 33 9D 16")
		}
	})
	for range frames {
		o.wants("dlt645/line1/000000000001/address", `{}`)
	}
	wg.Wait()
}

func TestBadChecksums(t *testing.T) {
	const checked = `  - {delimiter: "0a", strip: true, checksum: [{algo: xor8, range: [0, -2], at: -2, encoding: hex}], body: [0, 2]}`
	bad := "DATA 1" + "00\n"
	for _, c := range []struct {
		what string
		then func(s *site, o *observer, d device)
	}{
		{"drop", func(s *site, o *observer, d device) {
			d.say(summed("BEAT 1"))
			o.wants("talk/dev1/beat", "1")
			if n := s.g.Counters()["bad_checksum"]; n != 1 {
				t.Errorf("%d counted", n)
			}
		}},
		{"accept", func(_ *site, o *observer, _ device) { o.wants("talk/dev1/data", "1") }},
		{"close", func(s *site, o *observer, d device) {
			d.closed("")
			o.nothing()
		}},
	} {
		t.Run(c.what, func(t *testing.T) {
			conf := with(`  - {delimiter: "0a", strip: true}`, checked+"\non_bad_checksum: "+c.what)
			conf.Codecs[0].Source = strings.NewReplacer(`'OK' 0a`, `'OK' {crc} 0a`, `'NO' 0a`, `'NO' {crc} 0a`, `'WHO' 0a`, `'WHO' {crc} 0a`, `{payload} 0a`, `{payload} {crc} 0a`).Replace(conf.Codecs[0].Source)
			s := start(t, "talk", conf, broker.Config{})
			o := s.observe("#")
			d := s.dial()
			d.say(summed("LOGIN dev1"))
			o.wants("talk/dev1/login", "dev1")
			d.wantsBytes([]byte(summed("OK")))
			d.say(bad)
			c.then(s, o, d)
		})
	}
}

// summed is a line with its checksum.
func summed(line string) string {
	sum := byte(0)
	for i := range len(line) {
		sum ^= line[i]
	}
	return fmt.Sprintf("%s%02X\n", line, sum)
}

func TestReloadIsForNewConnections(t *testing.T) {
	s := start(t, "talk", with("", ""), broker.Config{})
	login := func(want string) device {
		t.Helper()
		d := s.dial()
		d.say("LOGIN dev1\n")
		d.wantsBytes([]byte(want))
		return d
	}
	old := login("OK\n")
	if err := s.g.Reload(with("'OK' 0a\", refuse", "'YES' 0a\", refuse")); err != nil {
		t.Fatal(err)
	}
	old.say("LOGIN dev1\n")
	old.wantsBytes([]byte("OK\n"))
	now := login("YES\n")
	if err := s.g.Reload(with("codec: talk", "codec: 7: 8")); err == nil {
		t.Error("a broken file is taken")
	}
	now.say("BEAT 1\n")
	now.wantsBytes([]byte("OK\n"))
	if err := s.g.Reload(frame.Config{}); err != nil {
		t.Fatal(err)
	}
	s.dial().closed("")
	s.log.Wants(t, "any more")
}

// fullStore can be told to have no room.
type fullStore struct {
	store.Store
	full atomic.Bool
}

// Room implements store.Bounded.
func (f *fullStore) Room() store.Room { return store.Room{Free: 1, Full: f.full.Load()} }
