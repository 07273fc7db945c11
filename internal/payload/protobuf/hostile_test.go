package protobuf

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/iotctl/iotctl/internal/payload"
)

const recursive = `syntax = "proto3";
message M {
  oneof x { int32 a = 1; int32 b = 2; }
  M m = 3;
}`

func openSource(t testing.TB, source, name string) payload.Codec {
	t.Helper()
	file := filepath.Join(t.TempDir(), "test.proto")
	if err := os.WriteFile(file, []byte(source), 0o600); err != nil {
		t.Fatal(err)
	}
	return open(t, file+":"+name)
}

func varint(b []byte, num protowire.Number, n uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), n)
}

// within puts b into so many messages of field 3.
func within(b []byte, levels int, behind ...byte) []byte {
	for range levels {
		b = append(protowire.AppendBytes(protowire.AppendTag(nil, 3, protowire.BytesType), b), behind...)
	}
	return b
}

// Work that grew with the product of both would take minutes.
func TestManyFieldsBesideAOneofTakeTimeByTheirSum(t *testing.T) {
	const n = 400_000
	var b []byte
	for i := range n {
		b = varint(b, protowire.Number(1000+i), 1)
	}
	for i := range n {
		b = varint(b, protowire.Number(1+i%2), 7)
	}
	c := payload.Content{Bytes: b}
	if err := openSource(t, recursive, "M").Decode(&c); err != nil {
		t.Fatal(err)
	}
	if v, ok := c.Value.(payload.Object).Get("b"); !ok || len(c.Value.(payload.Object)) != n+1 {
		t.Fatalf("b = %v of %d members", v, len(c.Value.(payload.Object)))
	}
	if !strings.Contains(strings.Join(c.Notes, "\n"), "a and b are both there") {
		t.Fatalf("notes %q", c.Notes)
	}
}

func TestMessagesInPartsOfMessagesInPartsAreBounded(t *testing.T) {
	b := within(protowire.AppendBytes(protowire.AppendTag(nil, 99, protowire.BytesType), make([]byte, 4<<20)), 58, 3<<3|2, 0)
	c := payload.Content{Bytes: b}
	err := openSource(t, recursive, "M").Decode(&c)
	if wrong := (*payload.Malformed)(nil); !errors.As(err, &wrong) || !strings.Contains(wrong.Reason, "in parts") {
		t.Fatalf("58 levels of messages in parts: %v", err)
	}
}

// To write all levels again for each of them would take a minute.
func TestDeepMessagesWithoutASchemaAreReadOnce(t *testing.T) {
	var inner []byte
	for range 1_000_000 {
		inner = varint(inner, 1, 5)
	}
	c := payload.Content{Bytes: within(inner, 58)}
	if err := open(t, "").Decode(&c); err != nil {
		t.Fatal(err)
	}
	text := string(c.AppendText(nil))
	if n := strings.Count(text, `"3:message?"`); n != 58 {
		t.Fatalf("%d of 58 levels are messages", n)
	}
}

func TestWhatWouldBeWrittenOtherwiseIsNoMessage(t *testing.T) {
	k := open(t, "")
	for _, b := range []string{
		"1a 04 08 96 81 00",       // a varint that is too long
		"1a 03 88 00 01",          // a tag that is too long
		"1a 06 08 01 10 ff 08 01", // the entries of a field apart
		"1a 05 12 82 00 ff fe",    // a length that is too long
		"1a 05 0b 08 96 00 0c",    // within a group
		"1a 04 0b 8c 80 00",       // the end of a group
	} {
		if text, _ := decode(t, k, bytesOf(t, b)); !strings.HasPrefix(text, `{"3:bytes":`) {
			t.Errorf("%s is %s", b, text)
		}
	}
}

func FuzzAsWritten(f *testing.F) {
	for _, p := range untypedPairs {
		f.Add(bytesOf(f, p[0]))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := &decoder{}
		o, err := d.untyped(b, 0)
		if err != nil {
			return
		}
		again, err := (&encoder{}).untyped("", o)
		if err != nil {
			t.Fatal(err)
		}
		if asWritten(b) != bytes.Equal(again, b) {
			t.Fatalf("% x is written % x", b, again)
		}
	})
}
