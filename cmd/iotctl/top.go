package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/codec/mqtt"
)

func newTop() *cobra.Command {
	return clientCommand(progTop, &cobra.Command{
		Use:   "top [url] [-t filter...] [options]",
		Short: "Show live topics by rate, bytes, last value and QoS",
		Long: `Subscribes to topic filters, # unless -t names others, and keeps a table of the
topics on the screen, the fastest first:

  MSG/S, B/S  messages and payload bytes a second, as a mean of the last seconds
              that is weighted by age: what came t seconds ago counts exp(-t/5)
  COUNT       messages since the start, on screens of 100 columns
  SIZE        of the last payload in bytes
  QOS         those that were seen; on screens of 120 columns their shares
  R           the broker keeps a retained message
  AGE         of the last message
  VALUE       the last payload, as --payload says; in hex, if it is no text

It subscribes at QoS 2, because a broker lowers the QoS of messages to that of the
subscription; -q 0 spares the broker the acknowledgements. In MQTT 3.1.1 only
messages that were stored carry the retain flag; with -V 5 live ones do, too.
Stored messages do not count for rates.

200,000 topics are kept, in 256 MiB at most; --max-topics changes the number.
The program takes about 80 MB with 100,000. When there are more topics, those
that have been silent for the longest are forgotten, which the second line says.
--depth 2 puts all topics below a/b together.

Keys: q or Ctrl-C ends, space pauses, / searches (Enter keeps the search, Esc
clears it), r b c s a t sort by rate, bytes, count, size, age or topic, v reverses,
arrows, Page Up, Page Down, Home and End scroll. The screen is drawn at most four
times a second.

Where there is no terminal, --once prints a plain table and ends. Its -o jsonl has
an object per topic, -o json one object with the totals and these as rows:

  topic, messages, bytes, size, retained
  messages_per_second, bytes_per_second
  qos              how many messages had QoS 0, 1 and 2
  last             when the last one came, RFC 3339
  encoding, value  text or base64, and the first 256 bytes of the last payload`,
		Example: `  iotctl top
  iotctl top mqtt://broker.example -t 'plant/#' --depth 3 --sort bytes
  iotctl top --sys --search load
  iotctl top --once 10s -n 20
  iotctl top --once 1m -o json`,
	}, runTop)
}

func runTop(ctx context.Context, s *settings, t *terminal) error {
	switch {
	case s.top.once == 0 && (s.top.rows > 0 || s.output != "text"):
		return fail(exitUsage, errors.New("-n and -o go with --once"), "iotctl top --once 10s -n 20")
	case s.top.once == 0 && !t.outTTY:
		return fail(exitUsage, errors.New("standard output is no terminal"), "iotctl top --once 10s prints a table after ten seconds")
	case s.top.once == 0 && s.debug && t.errTTY:
		return usagef("-d writes on the screen that top draws on: send standard error somewhere else")
	}
	if len(s.topics) == 0 {
		s.topics = []string{"#"}
	}
	if s.top.sys {
		s.topics = append(s.topics, "$SYS/#")
	}
	if !s.reconnectSet {
		s.reconnect = -1
	}
	s.retainAsPublished = s.version == mqtt.V5
	view := newTopicView(s, t, topColumns())
	e, err := newEngine(s, t, view.observe, nil)
	if err != nil {
		return err
	}
	ctx, stop := runContext(ctx, s, catchAtOnce)
	defer stop()
	if err := e.connect(ctx); err != nil {
		return err
	}
	sub := subscriber{engine: e}
	if err = sub.subscribe(ctx); err == nil && s.top.once > 0 {
		err = e.plain(ctx, view)
	} else if err == nil {
		err = e.live(ctx, view)
	}
	e.Halt()
	_ = e.leave(0)
	return err
}

// plain prints the table after the time of --once.
func (e *engine) plain(ctx context.Context, view *topicView) error {
	select {
	case <-time.After(e.s.top.once):
		return view.print()
	case <-ctx.Done():
		return failCause(ctx)
	case <-e.Done():
		return e.ended()
	}
}

// live keeps the table on the screen until a key, a signal or the broker ends it.
func (e *engine) live(ctx context.Context, view *topicView) (err error) {
	ended := make(chan error, 1)
	end, err := view.begin(func(err error) { ended <- err })
	if err != nil {
		return fail(codeOf(err), err, "iotctl top --once 10s prints a table after ten seconds")
	}
	defer func() { err = errors.Join(err, end()) }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
		return failCause(ctx)
	case <-e.Done():
		return e.ended()
	}
}

// print writes the table as it is now, for people or as JSON.
func (v *topicView) print() error {
	now := time.Now()
	v.view.Most = v.s.top.rows
	v.mu.Lock()
	defer v.mu.Unlock()
	rows, totals := v.table.Rows(now, v.view)
	if v.s.output != "text" {
		return writeTopics(v.t.out, v.s.output == "json", now, rows, &totals)
	}
	width := 0
	if v.t.outTTY {
		width, _ = terminalSize(v.t.out)
	}
	for _, l := range topicLines(v.columns, rows, now, width) {
		if _, err := fmt.Fprintln(v.t.out, l); err != nil {
			return err
		}
	}
	if totals.Forgotten > 0 {
		v.t.warnf("%d topics were silent for the longest and forgotten, with %d messages", totals.Forgotten, totals.ForgottenMessages)
	}
	return nil
}
