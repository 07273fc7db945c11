package gateway

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/iotctl/iotctl/internal/broker"
	"github.com/iotctl/iotctl/internal/transport"
)

func TestStrangersDoNotFillTheLog(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	b, err := broker.New(ctx, broker.Config{SysInterval: -1})
	if err != nil {
		t.Fatal(err)
	}
	l, err := transport.Listen(ctx, "mqtt://127.0.0.1:0", transport.ListenConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer // slog's handler takes a lock around each write
	s := NewServer(ServerConfig{Broker: b, Logger: slog.New(slog.NewTextHandler(&log, nil)), Open: func() Client { return new(curt) }})
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := s.Serve(ctx, l); err != nil {
			t.Error(err)
		}
	})
	const tries = 500
	start := time.Now()
	for range tries {
		nc, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		_ = nc.SetDeadline(time.Now().Add(30 * time.Second))
		if _, err := io.WriteString(nc, "x"); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadAll(nc); err != nil {
			t.Fatal(err)
		}
		_ = nc.Close()
	}
	cancel()
	wg.Wait()
	most := int64(1+time.Since(start)/(strangerLines.Per/time.Duration(strangerLines.Count))) + strangerLines.Count
	if n := int64(strings.Count(log.String(), "connection ended")); n < strangerLines.Count || n > most {
		t.Errorf("%d lines about %d strangers, want %d to %d", n, tries, strangerLines.Count, most)
	}
}
