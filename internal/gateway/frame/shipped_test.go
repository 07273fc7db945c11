package frame_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/iotctl/iotctl/internal/broker"
	codec "github.com/iotctl/iotctl/internal/codec/frame"
	"github.com/iotctl/iotctl/internal/gateway/frame"
)

// step is a frame that a device sends, and what comes of it.
type step struct {
	send  string // hex
	topic string // "": nothing is published
	want  string
	reply string // hex
}

// command is a downlink.
type command struct{ topic, payload, frame string }

// play is what a device of a codec does.
type play struct {
	codec    string // with a fixed name of the device, if it has none
	steps    []step
	commands []command
}

func hexOf(text string) string { return hexString([]byte(text)) }

// plays has the public sample frames of every codec that comes with the program.
var plays = []play{
	{"gt06", []step{
		{"78 78 0D 01 01 23 45 67 89 01 23 45 00 01 8C DD 0D 0A", "gt06/123456789012345/login", `{"imei":"123456789012345","serial":1}`, "78 78 05 01 00 01 D9 DC 0D 0A"},
		{
			"78 78 1F 12 0B 08 1D 11 2E 10 CF 02 7A C7 EB 0C 46 58 49 00 14 8F 01 CC 00 28 7D 00 1F B8 00 03 80 81 0D 0A", "gt06/123456789012345/location",
			`{"time":"2011-08-29T17:46:16Z","sats":15,"lat":23.111668,"lon":114.409285,"speed":0,"course":143,"mcc":460,"mnc":0,"lac":10365,"cell":8120,"serial":3}`, "",
		},
		{"78 78 0A 13 40 04 04 00 01 00 0F DC EE 0D 0A", "gt06/123456789012345/heartbeat", `{"voltage":4,"gsm":4,"serial":15}`, "78 78 05 13 00 0F 00 8F 0D 0A"},
		{"78 78 08 13 4B 04 03 00 01 00 11 06 1F 0D 0A", "", "", ""}, // a length that is wrong
		{"79 79 00 08 94 00 00 ED 02 89 D6 86 0D 0A", "gt06/123456789012345/information", `{"voltage":2.37,"serial":649}`, ""},
	}, []command{
		{"gt06/123456789012345/down", `{"cmd":"command","text":"sos#"}`, "78 78 0E 80 08 00 00 00 00 73 6F 73 23 00 02 5F F1 0D 0A"},
	}},
	{"gt06", []step{
		{"78 78 0D 01 08 64 71 70 03 28 35 81 00 09 3F 04 0D 0A", "gt06/864717003283581/login", `{"imei":"864717003283581","serial":9}`, "78 78 05 01 00 09 55 94 0D 0A"},
	}, nil},
	{"jt808", []step{
		{
			"7E 01 00 00 2D 01 35 11 22 11 22 00 05 00 2C 01 2F 37 30 31 31 31 4B 4D 2D 30 32 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 54 45 52 4D 30 30 31 01 D4 C1 42 31 32 33 34 35 58 7E",
			"", "", "7E 81 00 00 09 01 35 11 22 11 22 00 00 00 05 00 69 6F 74 63 74 6C B0 7E",
		},
		{
			"7E 01 02 00 0E 01 35 11 22 11 22 00 06 61 75 74 68 65 6E 74 69 63 61 74 69 6F 6E 3F 7E", "jt808/013511221122/authenticate", `{"serial":6}`,
			"7E 80 01 00 05 01 35 11 22 11 22 00 01 00 06 01 02 00 B4 7E",
		},
	}, []command{
		{"jt808/013511221122/down", `{"cmd":"locate"}`, "7E 82 01 00 00 01 35 11 22 11 22 00 02 B5 7E"},
	}},
	{"dlt645/line1", []step{
		{"68 01 00 00 00 00 00 68 93 06 34 33 33 33 33 33 9D 16", "dlt645/line1/000000000001/address", `{"meter":"000000000001"}`, ""},
		{"FE FE FE FE 68 01 00 00 00 00 00 68 91 08 33 33 34 33 AB 89 67 45 17 16", "dlt645/line1/000000000001/data", `{"id":"00010000","import_energy":123456.78}`, ""},
	}, []command{
		{"dlt645/line1/down", `{"cmd":"read","address":"000000000001","id":"00010000"}`, "FE FE FE FE 68 01 00 00 00 00 00 68 11 04 33 33 34 33 B3 16"},
		{"dlt645/line1/down", `{"cmd":"read_address"}`, "FE FE FE FE 68 AA AA AA AA AA AA 68 13 00 DF 16"},
	}},
	{"modbus-tcp/plc", []step{
		{"00 01 00 00 00 09 11 03 06 02 2B 00 00 00 64", "modbus/plc/17/registers", `{"transaction":1,"values":[555,0,100]}`, ""},
		{"00 01 00 00 00 03 11 83 02", "modbus/plc/17/exception", `{"exception":"illegal data address"}`, ""},
	}, []command{
		{"modbus/plc/down", `{"cmd":"read_holding_registers","transaction":1,"unit":17,"address":107,"count":3}`, "00 01 00 00 00 06 11 03 00 6B 00 03"},
	}},
	{"modbus-rtu/plc", []step{
		{"11 03 06 02 2B 00 00 00 64 C8 BA", "modbus/plc/17/registers", `{"values":[555,0,100]}`, ""},
	}, []command{
		{"modbus/plc/down", `{"cmd":"read_holding_registers","unit":17,"address":107,"count":3}`, "11 03 00 6B 00 03 76 87"},
	}},
	{"hj212", []step{
		{
			hexOf("##0101QN=20160801085857223;ST=32;CN=1062;PW=100000;MN=010000A8900016F000169DC0;Flag=5;CP=&&RtdInterval=30&&1C80\r\n"),
			"hj212/010000A8900016F000169DC0/command", `{"CN":"1062","CP":{"RtdInterval":30}}`,
			hexOf("##0087QN=20160801085857223;ST=91;CN=9014;PW=100000;MN=010000A8900016F000169DC0;Flag=4;CP=&&&&71C0\r\n"),
		},
	}, nil},
	{"teltonika8", []step{
		{"00 0F 33 35 36 33 30 37 30 34 32 34 34 31 30 31 33", "teltonika/356307042441013/login", `{"imei":"356307042441013"}`, "01"},
		{
			"00 00 00 00 00 00 00 36 08 01 00 00 01 6B 40 D8 EA 30 01 00 00 00 00 00 00 00 00 00 00 00 00 00 00 00 01 05 02 15 03 01 01 01 42 5E 0F 01 F1 00 00 60 1A 01 4E 00 00 00 00 00 00 00 00 01 00 00 C7 CF",
			"teltonika/356307042441013/records", `{"count":1,"records":[{"time":"2019-06-10T10:04:46Z","priority":1,"event":1}]}`, "00 00 00 01",
		},
	}, []command{
		{"teltonika/356307042441013/down", `{"cmd":"command","text":"getinfo"}`, "00 00 00 00 00 00 00 0F 0C 01 05 00 00 00 07 67 65 74 69 6E 66 6F 01 00 00 43 12"},
	}},
	{"gb32960", []step{
		{
			"23 23 01 FE 31 47 31 42 4C 35 32 50 37 54 52 31 31 35 35 32 30 01 00 1F 0C 0C 1D 0C 13 14 00 01 31 32 33 34 35 36 37 38 39 30 31 32 33 34 35 36 37 38 39 30 01 01 43 98",
			"gb32960/1G1BL52P7TR115520/login", `{"time":"2012-12-29T12:19:20+08:00","sequence":1,"iccid":"12345678901234567890"}`,
			"23 23 01 01 31 47 31 42 4C 35 32 50 37 54 52 31 31 35 35 32 30 01 00 06 0C 0C 1D 0C 13 14 3C",
		},
		{
			"23 23 07 FE 31 47 31 42 4C 35 32 50 37 54 52 31 31 35 35 32 30 01 00 00 D5", "gb32960/1G1BL52P7TR115520/heartbeat", `{}`,
			"23 23 07 01 31 47 31 42 4C 35 32 50 37 54 52 31 31 35 35 32 30 01 00 00 2A",
		},
	}, nil},
	{"thingspanel", []step{
		{"54 50 00 00 00 00 00 05 74 6F 6B 65 6E", "thingspanel/token/auth", `{}`, ""},
		{"54 50 01 00 00 00 00 00", "thingspanel/token/heartbeat", `{}`, ""},
	}, []command{
		{"thingspanel/token/down", `{"cmd":"attributes","data":{"t":25.5}}`, "54 50 00 01 00 00 00 0A 7B 22 74 22 3A 32 35 2E 35 7D"},
	}},
	{"lines/hall", []step{
		{hexOf("21.5 48\r\n"), "lines/hall/up", "21.5 48", ""},
	}, []command{
		{"lines/hall/down", "on", hexOf("on\n")},
	}},
	{"json-lines/hall", []step{
		{hexOf("{\"t\":25.5}\n"), "json-lines/hall/up", `{"t":25.5}`, ""},
		{hexOf("not JSON\n"), "", "", ""},
	}, []command{
		{"json-lines/hall/down", `{"on":true}`, hexOf("{\"on\":true}\n")},
	}},
}

// dlt69845 is separate because its answer has the time in it.
const (
	link     = "68 1E 00 81 05 84 00 00 00 00 00 00 6C C0 01 00 00 00 3C 07 E4 08 06 04 10 2C 0E 00 00 7A 06 16"
	linkHead = "68 30 00 01 05 84 00 00 00 00 00 00 EC AF 81 00 80 07 E4 08 06 04 10 2C 0E 00 00"
)

func TestShippedCodecs(t *testing.T) {
	var have []string
	for _, p := range plays {
		name, _, _ := cutSlash(p.codec)
		have = append(have, name)
		for _, how := range []struct {
			name  string
			write func(d device, b []byte)
		}{
			{"at once", device.write},
			{"byte by byte", func(d device, b []byte) {
				for i := range b {
					d.write(b[i : i+1])
				}
			}},
		} {
			t.Run(name+"/"+how.name, func(t *testing.T) { p.run(t, how.write) })
		}
	}
	have = append(have, "dlt69845")
	slices.Sort(have)
	if have = slices.Compact(have); !slices.Equal(have, codec.Builtin()) {
		t.Errorf("tested are %q, and there are %q", have, codec.Builtin())
	}
}

func (p play) run(t *testing.T, write func(device, []byte)) {
	s := start(t, p.codec, frame.Config{}, broker.Config{})
	o := s.observe("#")
	d := s.dial()
	for _, st := range p.steps {
		write(d, unhex(t, st.send))
		if st.topic != "" {
			o.wants(st.topic, st.want)
		}
		d.wants(st.reply)
	}
	for _, c := range p.commands {
		if n := o.publish(c.topic, c.payload); n != 2 { // the observer as well
			t.Fatalf("%s reached %d", c.topic, n)
		}
		o.wants(c.topic, c.payload)
		d.wants(c.frame)
	}
	o.nothing()
}

// TestJT808Terminals has the frames of terminals that log in with one of our own.
func TestJT808Terminals(t *testing.T) {
	for _, c := range []struct{ name, phone, send, topic, want, reply string }{
		{
			"heartbeat", "043048325465", "7E 00 02 00 00 04 30 48 32 54 65 00 B7 CA 7E", "jt808/043048325465/heartbeat", `{"serial":183}`,
			"8001 0005 043048325465 0001 00B7 0002 00",
		},
		{
			"location", "013833501744", "7E 02 00 00 2A 01 38 33 50 17 44 00 19 00 00 00 00 00 00 00 C2 01 59 7F A8 06 CC 01 58 00 80 00 00 00 08 15 08 18 07 21 21 01 04 00 00 02 F5 02 02 00 00 03 02 00 00 9F 7E",
			"jt808/013833501744/location", `{"lat":22.6426,"lon":114.032984,"altitude":128,"speed":0,"direction":8,"time":"2015-08-18T07:21:21+08:00","mileage":75.7}`,
			"8001 0005 013833501744 0001 0019 0200 00",
		},
		{
			"escaped", "013800138000", "7E 09 00 00 04 01 38 00 13 80 00 00 01 41 7D 02 7D 01 42 A6 7E", "jt808/013800138000/transparent", `{"data":"7e7d42"}`,
			"8001 0005 013800138000 0001 0001 0900 00",
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := start(t, "jt808", frame.Config{}, broker.Config{})
			o := s.observe("#")
			d := s.dial()
			d.write(jt808(t, "0102 0001 "+c.phone+" 0001 31"))
			o.wants("jt808/"+c.phone+"/authenticate", `{"serial":1}`)
			d.wantsBytes(jt808(t, "8001 0005 "+c.phone+" 0000 0001 0102 00"))
			d.send(c.send)
			o.wants(c.topic, c.want)
			d.wantsBytes(jt808(t, c.reply))
		})
	}
}

// jt808 is a frame of header and body, escaped.
func jt808(t *testing.T, content string) []byte {
	t.Helper()
	b := unhex(t, content)
	sum := byte(0)
	for _, c := range b {
		sum ^= c
	}
	b = bytes.ReplaceAll(append(b, sum), []byte{0x7d}, []byte{0x7d, 1})
	b = bytes.ReplaceAll(b, []byte{0x7e}, []byte{0x7d, 2})
	return append(append([]byte{0x7e}, b...), 0x7e)
}

func TestDLT69845LinksAreAnsweredWithTheTime(t *testing.T) {
	s := start(t, "dlt69845", frame.Config{}, broker.Config{})
	o := s.observe("#")
	d := s.dial()
	d.send(link)
	o.wants("dlt69845/000000000084/login", `{"address":"000000000084","heartbeat":60,"time":"2020-08-06T16:44:14+08:00"}`)
	d.wants(linkHead)
	rest := make([]byte, 23) // two times, the checksum and the end
	d.read(rest)
	if !bytes.Equal(rest[:10], rest[10:20]) || rest[22] != 0x16 {
		t.Errorf("answered % X", rest)
	}
	if n := o.publish("dlt69845/000000000084/down", `{"cmd":"request","apdu":"0501014000020000"}`); n != 2 {
		t.Fatalf("published to %d", n)
	}
	d.wants("68 17 00 43 05 84 00 00 00 00 00 00 19 90 05 01 01 40 00 02 00 00 7D 1B 16")
}

func TestAThousandFramesInOneWrite(t *testing.T) {
	for _, p := range plays {
		name, _, _ := cutSlash(p.codec)
		t.Run(name, func(t *testing.T) {
			s := start(t, p.codec, frame.Config{}, broker.Config{})
			o := s.observe("#")
			d := s.dial()
			login, last := p.steps[0], p.steps[0]
			for _, st := range p.steps[1:] {
				if st.topic != "" {
					last = st
				}
			}
			var all []byte
			all = append(all, unhex(t, login.send)...)
			if name == "jt808" {
				all = append(all, unhex(t, last.send)...)
			}
			const frames = 1000
			for range frames {
				all = append(all, unhex(t, last.send)...)
			}
			received := make(chan struct{})
			go func() {
				defer close(received)
				d.drain()
			}()
			d.write(all)
			for n := 0; n < frames; {
				if o.next().topic == last.topic {
					n++
				}
			}
			_ = d.nc.Close()
			<-received
		})
	}
}
