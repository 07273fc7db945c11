package agents

import (
	"context"
	"errors"
	"strings"
	"time"
	"unicode"

	"github.com/iotctl/iotctl/internal/bench"
)

// errTime says that what was waited for has not happened in time.
var errTime = errors.New("not in time")

// pump works off what comes from the agents until done, for a time at the most;
// 0 is without end. Agents that say nothing for too long are given up.
func (l *lead) pump(ctx context.Context, most time.Duration, done func() bool) error {
	tick := time.NewTicker(watchSampled)
	defer tick.Stop()
	var out <-chan time.Time
	if most > 0 {
		t := time.NewTimer(most)
		defer t.Stop()
		out = t.C
	}
	for !done() {
		select {
		case m := <-l.inbox:
			l.hear(ctx, m)
		case now := <-tick.C:
			l.tick(ctx, now)
		case <-out:
			return errTime
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-l.Done():
			return l.errEnded()
		}
	}
	return nil
}

func (l *lead) tick(ctx context.Context, now time.Time) {
	l.watch.look(now)
	if now.Sub(l.alive) >= beat {
		l.alive = now
		soon, cancel := context.WithTimeout(ctx, beat/2)
		defer cancel()
		_ = l.all(soon, order{Kind: orderAlive}, 0)
	}
	for _, p := range l.peers {
		if !p.over && !p.heard.IsZero() && now.Sub(p.heard) > l.o.Silence {
			l.lost(p, "has not been heard of for "+l.o.Silence.String())
		}
	}
}

// lost gives an agent up.
func (l *lead) lost(p *peer, why string) {
	if p.over {
		return
	}
	p.over, p.hello, p.refusal = true, false, why
	l.event("agent %s %s", p.name, why)
	l.m.Over(p.k, nil, why)
}

// hear works off a report.
func (l *lead) hear(ctx context.Context, m letter) {
	name := m.topic[strings.LastIndexByte(m.topic, '/')+1:]
	var p *peer
	for _, q := range l.peers {
		if q.name == name {
			p = q
		}
	}
	var r report
	if p == nil || parse(m.payload, &r) != nil {
		return
	}
	switch {
	case r.Kind == reportPong:
		if r.N != p.pinged {
			p.pinged = r.N
			p.exchanges = append(p.exchanges, exchange{r.Sent, r.Received, r.Replied, m.at.UnixNano()})
		}
		return
	case p.over:
		return
	}
	r.Text = printable(r.Text)
	if !p.heard.IsZero() {
		p.heard = time.Now()
	}
	if r.Seq > 0 {
		if r.Seq != p.seq+1 {
			l.lost(p, "was not heard in full: reports were lost on the way")
			return
		}
		p.seq = r.Seq
	}
	switch r.Kind {
	case reportHello:
		p.hello = true
		if r.Environment != nil {
			l.m.Part(p.k).Environment = *r.Environment
		}
	case reportRefused:
		l.lost(p, r.Text)
	case reportOpened:
		p.opened = true
	case reportRecord:
		l.record(p, &r)
	case reportProgress:
		p.progress = r.Progress
		l.settle(ctx)
	case reportStreams:
		if err := l.m.Streams(p.k, r.Streams); err != nil {
			l.lost(p, err.Error())
		}
	case reportFinal:
		l.final(p, &r)
	}
}

func (l *lead) record(p *peer, r *report) {
	switch {
	case r.Header != nil:
		shift := l.d.Shares[p.k].Part.Shift
		l.m.Began(p.k, r.Header.Started.Add(shift))
	case r.Interval != nil:
		if p.intervals++; p.intervals > maxIntervals {
			l.lost(p, "has sent too much")
			return
		}
		l.m.Interval(p.k, r.Interval)
	case r.Event != nil:
		r.Event.Text = printable(r.Event.Text)
		l.m.Event(p.k, r.Event)
	}
}

// printable is a text from elsewhere for somebody's terminal.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '�'
	}, text)
	return strings.ToValidUTF8(text[:min(len(text), maxText)], "")
}

// final ends an agent's run.
func (l *lead) final(p *peer, r *report) {
	why := r.Text
	if why == "" {
		why = "complete"
	}
	p.over, p.refusal = true, why
	if r.Final == nil && why == "complete" {
		why = "has sent no balance"
	}
	if why != "complete" {
		l.event("agent %s: %s", p.name, why)
	}
	l.m.Over(p.k, r.Final, why)
}

// settle tells everybody to finish once everything has arrived.
func (l *lead) settle(ctx context.Context) {
	var sent, arrived int64
	for _, p := range l.peers {
		switch {
		case p.over:
		case p.progress == nil || !p.progress.Settled:
			return
		}
		if p.progress != nil {
			sent, arrived = sent+p.progress.Sent, arrived+p.progress.Arrived
		}
	}
	if !l.finished && arrived >= l.d.Deliveries(sent) {
		l.finished = true
		_ = l.all(ctx, order{Kind: orderFinish}, 1)
	}
}

// watch measures a process of this machine, the broker, while the load lasts.
type watch struct {
	pid          int
	from, to     time.Time
	begun, ended bool
	before       time.Duration
	event        func(format string, a ...any)
	result       bench.Watch
}

func (w *watch) begin(pid int, from, to time.Time, event func(string, ...any)) {
	w.pid, w.from, w.to, w.event = pid, from, to, event
}

func (w *watch) look(now time.Time) {
	if w.pid <= 0 || w.from.IsZero() || now.Before(w.from) || w.ended {
		return
	}
	cpu, rss := bench.Watched(w.pid)
	if !w.begun {
		w.begun, w.before = true, cpu
	}
	if bench.HasEnded(w.before+w.result.CPU, cpu, rss) {
		w.result.Ended, w.ended = true, true
		w.event(bench.WatchEnded, w.pid)
		return
	}
	w.result = bench.Watch{CPU: cpu - w.before, RSS: rss}
	w.ended = now.After(w.to)
}

func (w *watch) end(f *bench.Final) {
	if w.begun {
		f.Watch = &w.result
	}
}
