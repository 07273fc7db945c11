package proxy

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

// The text form of Prometheus is written here and not by its client library, which
// would bring a registry, protobuf and some 40 packages along for what is one loop
// over counters that exist already.

// WriteMetrics writes everything that is counted, in the text form of Prometheus.
func (e *Engine) WriteMetrics(w io.Writer) error {
	t := &text{}
	e.m.write(t)
	t.head("iotctl_proxy_listener_connections", "gauge", "Open connections of clients by listener.")
	for _, l := range e.listeners {
		t.line("iotctl_proxy_listener_connections", float64(l.Counters().Open), "listener", l.URL())
	}
	t.head("iotctl_proxy_listener_refused_total", "counter", "Connections refused by a listener, by reason.")
	for _, l := range e.listeners {
		refused := l.Counters().Refused
		for _, why := range slices.Sorted(maps.Keys(refused)) {
			t.line("iotctl_proxy_listener_refused_total", float64(refused[why]), "listener", l.URL(), "reason", why)
		}
	}
	for _, g := range []struct {
		name, kind, help string
		value            func(*upstream) float64
	}{
		{"iotctl_proxy_broker_up", "gauge", "Whether the health check finds a broker well; 1 without checks.", func(u *upstream) float64 { return number(!u.down.Load()) }},
		{"iotctl_proxy_broker_draining", "gauge", "Whether a broker gets no new connections.", func(u *upstream) float64 { return number(u.drain.Load()) }},
		{"iotctl_proxy_broker_connections", "gauge", "Open connections to a broker.", func(u *upstream) float64 { return float64(u.open.Load()) }},
		{"iotctl_proxy_broker_dials_total", "counter", "Connections to a broker that were tried.", func(u *upstream) float64 { return float64(u.dialed.Load()) }},
		{"iotctl_proxy_broker_dial_failures_total", "counter", "Connections to a broker that failed.", func(u *upstream) float64 { return float64(u.failed.Load()) }},
	} {
		t.head(g.name, g.kind, g.help)
		for _, u := range e.pool.all {
			t.line(g.name, g.value(u), "broker", u.name)
		}
	}
	_, err := w.Write(t.Bytes())
	return err
}

func number(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// write appends what m counts.
func (m *Metrics) write(t *text) {
	closed, opened := m.closed.Load(), m.opened.Load()
	t.single("iotctl_proxy_connections", "gauge", "Open connections of clients.", float64(opened-closed))
	t.single("iotctl_proxy_connections_total", "counter", "Connections of clients that were accepted.", float64(opened))
	t.head("iotctl_proxy_packets_total", "counter", "Packets that left the proxy, by direction and type.")
	for d := range m.packets {
		for typ := mqtt.TypeConnect; typ <= mqtt.TypeAuth; typ++ {
			if n := m.packets[d][typ].Load(); n > 0 {
				t.line("iotctl_proxy_packets_total", float64(n), "direction", Direction(d).String(), "type", typ.String())
			}
		}
	}
	t.directions("iotctl_proxy_bytes_total", "counter", "Bytes that left the proxy, without those of transports.", func(d Direction) float64 { return float64(m.bytes[d].Load()) })
	t.directions("iotctl_proxy_unacknowledged", "gauge", "Messages of QoS 1 and 2 whose last acknowledgement has not come.", func(d Direction) float64 { return float64(m.unacked[d].Load()) })
	t.directions("iotctl_proxy_stalls_total", "counter", "Times that a side did not take what was there, so that the other was not read.", func(d Direction) float64 { return float64(m.stalls[d].Load()) })
	t.directions("iotctl_proxy_stalled", "gauge", "Connections of which a side does not take what is there.", func(d Direction) float64 { return float64(m.stalled[d].Load()) })
	t.head("iotctl_proxy_answer_seconds", "histogram", "From a packet to its answer, by pair; one at a time of each connection and direction is measured.")
	for p := range m.pairs {
		m.pairs[p].write(t, pairNames[p])
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, g := range []struct{ what, name, help, a, b string }{
		{eventEnded, "iotctl_proxy_ended_total", "Connections that have ended, by reason.", "reason", ""},
		{eventFault, "iotctl_proxy_faults_total", "Faults that were injected, by action.", "action", ""},
		{eventRefused, "iotctl_proxy_refused_total", "What rules have refused.", "stage", "rule"},
		{eventDropped, "iotctl_proxy_dropped_total", "What stages could not pass on.", "stage", "what"},
	} {
		t.head(g.name, "counter", g.help)
		events := slices.SortedFunc(maps.Keys(m.events), func(x, y event) int { return cmp.Or(cmp.Compare(x.a, y.a), cmp.Compare(x.b, y.b)) })
		for _, e := range events {
			if e.what != g.what {
				continue
			}
			if g.b == "" {
				t.line(g.name, float64(m.events[e]), g.a, e.a)
			} else {
				t.line(g.name, float64(m.events[e]), g.a, e.a, g.b, e.b)
			}
		}
	}
}

func (h *histogram) write(t *text, pair string) {
	total := uint64(0)
	for i := range h.class {
		total += h.class[i].Load()
		limit := "+Inf"
		if i < len(bounds) {
			limit = strconv.FormatFloat(bounds[i].Seconds(), 'g', -1, 64)
		}
		t.line("iotctl_proxy_answer_seconds_bucket", float64(total), "pair", pair, "le", limit)
	}
	t.line("iotctl_proxy_answer_seconds_sum", time.Duration(h.sum.Load()).Seconds(), "pair", pair)
	t.line("iotctl_proxy_answer_seconds_count", float64(total), "pair", pair)
}

// text is the exposition format of Prometheus, version 0.0.4.
type text struct{ bytes.Buffer }

func (t *text) head(name, kind, help string) {
	fmt.Fprintf(t, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (t *text) single(name, kind, help string, v float64) {
	t.head(name, kind, help)
	t.line(name, v)
}

func (t *text) directions(name, kind, help string, v func(Direction) float64) {
	t.head(name, kind, help)
	for _, d := range []Direction{ToServer, ToClient} {
		t.line(name, v(d), "direction", d.String())
	}
}

var escaped = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

func (t *text) line(name string, v float64, labels ...string) {
	t.WriteString(name)
	for i := 0; i < len(labels); i += 2 {
		fmt.Fprintf(t, `%c%s="%s"`, "{,"[min(i, 1)], labels[i], escaped.Replace(labels[i+1]))
	}
	if len(labels) > 0 {
		t.WriteByte('}')
	}
	t.WriteByte(' ')
	t.WriteString(strconv.FormatFloat(v, 'g', -1, 64))
	t.WriteByte('\n')
}
