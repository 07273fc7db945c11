package display

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// edited is the packet in hex with one of its fields changed: path is names with / in
// between, and set what becomes of it.
func edited(t *testing.T, as, packet, path string, set func(f map[string]any)) ([]byte, error) {
	t.Helper()
	p := read(t, as, packet)
	if len(p) != 1 {
		t.Fatalf("%d packets", len(p))
	}
	object := map[string]any{}
	d := json.NewDecoder(bytes.NewReader(JSON(nil, p[0], Style{Secrets: true})))
	d.UseNumber()
	if err := d.Decode(&object); err != nil {
		t.Fatal(err)
	}
	fields := object["fields"]
	var found map[string]any
	for name := range strings.SplitSeq(path, "/") {
		found = nil
		all, _ := fields.([]any)
		for _, f := range all {
			if f := f.(map[string]any); f["name"] == name {
				found = f
				break
			}
		}
		if found == nil {
			t.Fatalf("there is no %s in %s", name, JSON(nil, p[0], Style{}))
		}
		fields = found["kids"]
	}
	set(found)
	b, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return Encode(nil, b)
}

func value(v any) func(map[string]any) { return func(f map[string]any) { f["value"] = v } }

func TestChangedFieldsAreWrittenAndCounted(t *testing.T) {
	long := strings.Repeat("x", 200)
	for _, tt := range []struct {
		name, as, packet, path string
		set                    func(map[string]any)
		want                   string
	}{
		{"topic", "mqtt3.1.1", "3006 000161 616263", "topic", value("b/c"), "3008 0003622f63 616263"},
		{"an empty payload", "mqtt3.1.1", "3006 000161 616263", "payload", value(""), "3003 000161"},
		{"payload", "mqtt3.1.1", "3006 000161 616263", "payload", value("z"), "3004 000161 7a"},
		{"a length of two bytes", "mqtt3.1.1", "3006 000161 616263", "payload", value(long), "30cb01 000161" + strings.Repeat("78", 200)},
		{"payload without raw", "mqtt3.1.1", "3006 000161 616263", "payload", func(f map[string]any) { delete(f, "raw"); f["value"] = "de" }, "3005 000161 6465"},
		{"client id", "", connect5, "client id", value("a"), "101d 00044d51545405c2003c03210014 000161 000475736572 000470617373"},
		{"no client id", "", connect5, "client id", value(""), "101c 00044d51545405c2003c03210014 0000 000475736572 000470617373"},
		{"a client id, where there was none", "", "100c 00044d51545404 02 003c 0000", "client id", value("ab"), "100e 00044d51545404 02 003c 00026162"},
		{"password", "", connect5, "password", value("p"), "102c" + connect5[4:86] + "000170"},
		{"keep alive", "", connect5, "keep alive", value(300), "102f00044d51545405c2012c" + connect5[24:]},
		{"clean start", "", connect5, "connect flags/clean start", value(false), "102f00044d51545405c0" + connect5[20:]},
		{"will QoS", "", connect5, "connect flags/will QoS", value(2), "102f00044d51545405d2" + connect5[20:]},
		{"all flags", "", connect5, "connect flags", value(2), "102f00044d5154540502" + connect5[20:]},
		{"a property", "", connect5, "properties/receive maximum", value(21), connect5[:26] + "210015" + connect5[32:]},
		{"its part", "", connect5, "properties/receive maximum/value", value(21), connect5[:26] + "210015" + connect5[32:]},
		{"a text property", "mqtt5", "300a 000161 06 03 0003 616263", "properties/content type", value("de"), "3009 000161 05 03 0002 6465"},
		{"its text", "mqtt5", "300a 000161 06 03 0003 616263", "properties/content type/value", value(long), "30d001 000161 cb01 03 00c8" + strings.Repeat("78", 200)},
		{"a part of a user property", "mqtt5", "300c 000161 07 26 0001 61 0001 62 63", "properties/user property/name", value("abc"), "300e 000161 09 26 0003 616263 0001 62 63"},
		{"a length, on purpose", "mqtt3.1.1", "3006 000161 616263", "remaining length", value(5), "3005 000161 616263"},
		{"bytes", "mqtt3.1.1", "3005 000161 ff00", "payload", value("fe 01 02"), "3006 000161 fe0102"},
		{"type", "mqtt3.1.1", "c000", "packet type/type", value(13), "d000"},
		{"raw", "mqtt3.1.1", "3006 000161 616263", "payload", func(f map[string]any) { delete(f, "value"); f["raw"] = "61" }, "3004 000161 61"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := edited(t, tt.as, tt.packet, tt.path, tt.set)
			if err != nil {
				t.Fatal(err)
			}
			if want := strings.ReplaceAll(tt.want, " ", ""); hex.EncodeToString(got) != want {
				t.Errorf("%x, want %s", got, want)
			}
		})
	}
}

func TestWhatCannotBeEncodedIsSaid(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		set        func(map[string]any)
		want       string
	}{
		{"too large", "keep alive", value(70000), `field "keep alive": 70000 does not fit its 2 bytes`},
		{"no number", "keep alive", value("many"), `field "keep alive": "many" is not a whole number`},
		{"no text", "client id", value(7), `field "client id": 7 is not a text in quotes`},
		{"too many bits", "connect flags/will QoS", value(4), `field "will QoS": 4 does not fit its bits`},
		{"no hex", "password", value("xyz"), `field "password": "xyz" is not hex`},
		{"raw is no hex", "keep alive", func(f map[string]any) { f["raw"] = "0g" }, `field "keep alive": raw "0g" is not hex`},
		{"hidden", "password", func(f map[string]any) { f["hidden"] = true }, `field "password": its value is hidden`},
		{"neither", "keep alive", func(f map[string]any) { delete(f, "raw"); delete(f, "value") }, `field "keep alive": nothing says what byte 10 is`},
		{"a wild offset", "keep alive", func(f map[string]any) { f["offset"] = -1 }, `field "keep alive": its offset or size cannot be`},
		{"a far offset", "keep alive", func(f map[string]any) { f["offset"] = 200_000_000 }, `nothing says what byte`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, as := connect5, ""
			if tt.path == "password" && tt.name == "no hex" {
				p = "1015 00044d51545404 c2 003c 0000 000161 0002ff00"
			}
			_, err := edited(t, as, p, tt.path, tt.set)
			var wrong *EncodeError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v, want %s", err, tt.want)
			}
		})
	}
	for text, want := range map[string]string{
		"{}":                         "an object without fields is no packet of decode",
		"7":                          "a number is no packet of decode",
		`{"fields":[{"offset":""}]}`: "is a string",
		`{"fields":`:                 "the JSON ends within an object",
	} {
		if _, err := Encode(nil, []byte(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
		}
	}
}

func TestJSONRepeatsNoKey(t *testing.T) {
	for _, p := range conversation(t, connect5, "<2003000000", overrun, "300c 000161 07 26 0001 61 0001 62 63") {
		text := JSON(nil, p, Style{})
		if err := keys(json.NewDecoder(bytes.NewReader(text))); err != nil {
			t.Errorf("%v in %s", err, text)
		}
	}
}

// keys reads one value and complains about a key that an object has twice.
func keys(d *json.Decoder) error {
	token, err := d.Token()
	if err != nil {
		return err
	}
	open, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	seen := map[string]bool{}
	for d.More() {
		if open == '{' {
			key, err := d.Token()
			if err != nil {
				return err
			}
			name := key.(string)
			if seen[name] {
				return fmt.Errorf("%s is there twice", name)
			}
			seen[name] = true
		}
		if err := keys(d); err != nil {
			return err
		}
	}
	_, err = d.Token()
	return err
}

func TestJSONOfAPacket(t *testing.T) {
	p := conversation(t, "100f 00044d51545404 02 003c 0003616e61", "<20020000")[1]
	got := map[string]any{}
	if err := json.Unmarshal(JSON(nil, p, Style{}), &got); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]any{
		"number": 2.0, "stream": 1.0, "from": "server", "time": "2026-05-04T03:02:01.1Z", "offset": 0.0, "transport": "tcp",
		"client": "127.0.0.1:52658", "server": "127.0.0.1:1883", "protocol": "mqtt", "version": "3.1.1", "type": "CONNACK",
		"size": 4.0, "state": "ok", "answers": 1.0, "after": 0.1,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
}

func FuzzEncode(f *testing.F) {
	for _, s := range []string{connect5, overrun, "c000"} {
		f.Add(JSON(nil, read(f, "mqtt5", s)[0], Style{Secrets: true}))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		out, err := Encode(nil, b)
		if err == nil && len(out) > 2*len(b)+1<<16 {
			t.Fatalf("%d bytes of %d", len(out), len(b))
		}
	})
}

// What was decoded comes out as it was, whatever it was.
func FuzzDecodeEncode(f *testing.F) {
	for _, s := range []string{connect5, overrun, "c000", "30ffffffff7f", "300c000161"} {
		b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, p := range readBytes(t, "", b) {
			object := JSON(nil, p, Style{Secrets: true})
			got, err := Encode(nil, object)
			if err != nil || !bytes.Equal(got, p.Bytes) {
				t.Fatalf("%x has become %x, %v\n%s", p.Bytes, got, err, object)
			}
		}
	})
}
