package doctor

import (
	"context"
	"errors"
	"testing"

	"github.com/iotctl/iotctl/internal/transport"
)

func TestExposed(t *testing.T) {
	for u, want := range map[string]bool{
		"mqtt://localhost": false, "mqtt://127.0.0.1": false, "mqtt://[::1]": false, "unix:///run/x": false, "mqtts://h.example": false,
		"mqtt://h.example": true, "ws://192.0.2.1": true,
	} {
		e, err := transport.Parse(u, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got := newExam(Config{Target: e}).exposed(); got != want {
			t.Errorf("%s: %v", u, got)
		}
	}
}

func TestFind(t *testing.T) {
	for _, tt := range []struct{ limit, low, high, most, above int }{
		{1000, 10, 1000, 1000, 0}, {500, 10, 1000, 500, 501}, {10, 10, 1000, 10, 11}, {9, 10, 1000, 0, 10}, {999, 10, 1000, 999, 1000},
	} {
		s, err := find(t.Context(), tt.low, tt.high, func(n int) (bool, error) { return n <= tt.limit, nil })
		if err != nil || s.most != tt.most || s.above != tt.above || s.tries > 12 || tt.most > 0 && !s.done {
			t.Errorf("%+v: %+v %v", tt, s, err)
		}
	}
	broken := errors.New("broken")
	if _, err := find(t.Context(), 1, 9, func(n int) (bool, error) { return n < 5, map[bool]error{true: broken}[n == 5] }); !errors.Is(err, broken) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	s, err := find(ctx, 1, 1000, func(n int) (bool, error) {
		if n == 500 {
			cancel()
		}
		return n <= 700, nil
	})
	if err != nil || s.done || s.most != 500 || s.words("bytes", "--x") != "between 500 and 999 bytes; there was no time for more" {
		t.Errorf("%+v %v %s", s, err, s.words("bytes", "--x"))
	}
}
