package record

import (
	"bytes"
	"strings"
	"testing"

	"github.com/iotctl/iotctl/internal/proxy"
)

func TestReadForgivesACutEndOnly(t *testing.T) {
	head := `{"iotctl_recording":1,"program":"x","began":"2026-05-04T03:02:01Z","secrets":false}` + "\n"
	open := `{"t":0,"c":1,"open":{"client":"a","version":4}}` + "\n"
	ping := `{"t":0,"c":1,"d":"c2s","packet":"c000"}` + "\n"
	for _, tt := range []struct{ in, want string }{
		{head + open + ping + `{"t":0.5,"c":1,"d":"c2s","pack`, ""},
		{head + open + ping + "x\n" + ping, "line 4"},
		{head + ping + ping, "connection 1 has not been opened"},
		{head + strings.Replace(open, `"version":4`, `"version":9`, 1) + ping, "version 9"},
		{head + open + strings.Replace(ping, "c2s", "up", 1) + ping, "direction"},
		{strings.Replace(head, `:1,`, `:2,`, 1), "format 2"},
		{"hello\n", "not a recording"},
		{"", "not a recording"},
	} {
		rec, err := Read(strings.NewReader(tt.in))
		if tt.want == "" && (err != nil || len(rec.Sessions[0].Packets) != 1) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("%q: %v, want %s", tt.in, err, tt.want)
		}
	}
}

func TestMoreThanFitsIsNotRead(t *testing.T) {
	r := reader{rec: &Recording{}, open: map[uint64]*Session{}, room: 3 * packetBytes}
	if err := r.line([]byte(`{"t":0,"c":1,"open":{"client":"a","version":4}}`)); err != nil {
		t.Fatal(err)
	}
	long := `{"t":0,"c":1,"d":"c2s","packet":"` + strings.Repeat("c000", packetBytes) + `"}`
	if err := r.line([]byte(long)); err == nil || !strings.Contains(err.Error(), "MiB") {
		t.Error(err)
	}
	if n := len(r.rec.Sessions[0].Packets); n != 0 {
		t.Errorf("%d packets were taken all the same", n)
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(`{"iotctl_recording":1,"program":"x","began":"2026-05-04T03:02:01Z","secrets":false}` + "\n" +
		`{"t":0,"c":1,"open":{"client":"a","version":5}}` + "\n" + `{"t":0,"c":1,"d":"c2s","packet":"3206000161000100"}` + "\n" + `{"t":0,"c":1,"d":"s2c","packet":"40020001"}` + "\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		rec, err := Read(bytes.NewReader(b))
		if err != nil {
			return
		}
		if c := Compare(rec, rec, DiffOptions{By: proxy.ToClient}); len(rec.Sessions) == 1 && len(c.Differences) > 0 {
			t.Fatalf("a recording differs from itself: %v", c.Differences)
		}
		var out bytes.Buffer
		if err := rec.Write(&out); err != nil {
			t.Fatal(err)
		}
	})
}
