package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/bench/report"
)

// benchOutputs are what a run leaves for other programs, beside its record.
type benchOutputs struct {
	junit, prometheus, listen string // files, and an address
}

// liveOutputs keep them up to date while the run goes on.
type liveOutputs struct {
	o       *benchOutputs
	t       *terminal
	metrics *report.Metrics
	server  *http.Server
	served  chan struct{}
	failed  bool // writing the file has, and that was said
}

// start begins to listen, where that was asked for.
func (o *benchOutputs) start(t *terminal) (*liveOutputs, error) {
	l := &liveOutputs{o: o, t: t, metrics: report.NewMetrics(), served: make(chan struct{})}
	if o.listen == "" {
		close(l.served)
		return l, nil
	}
	address := o.listen
	if _, err := strconv.ParseUint(address, 10, 16); err == nil {
		address = net.JoinHostPort("127.0.0.1", address)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return nil, fail(exitUsage, fmt.Errorf("--prometheus-listen: %w", err))
	}
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", l.metrics)
	l.server = &http.Server{Handler: mux, ReadTimeout: 10 * time.Second, WriteTimeout: 10 * time.Second, MaxHeaderBytes: 16 << 10}
	go func() {
		defer close(l.served)
		_ = l.server.Serve(listener) // until stop
	}()
	t.notef("metrics at http://%s/metrics", listener.Addr())
	return l, nil
}

// see takes in a record and writes the file of metrics.
func (l *liveOutputs) see(record any) {
	l.metrics.See(record)
	if _, ok := record.(*bench.Event); ok || l.o.prometheus == "" || l.failed {
		return
	}
	if err := replaceFile(l.o.prometheus, l.metrics.Write); err != nil {
		l.failed = true
		l.t.warnf("--prometheus: %v", err)
	}
}

// stop ends listening.
func (l *liveOutputs) stop() {
	if l.server != nil {
		_ = l.server.Close()
	}
	<-l.served
}

// writeJUnit writes the verdicts of a run that has ended.
func (o *benchOutputs) writeJUnit(h *bench.Header, f *bench.Final) error {
	if o.junit == "" || h == nil || f == nil {
		return nil
	}
	return replaceFile(o.junit, func(w io.Writer) error { return report.WriteJUnit(w, report.New(*h, f)) })
}
