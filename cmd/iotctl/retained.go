package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/recording"
)

func newRetained() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "retained",
		Short:   "List, save, restore and clear retained messages",
		GroupID: groupClient,
		Long: `Works with the retained messages of a broker. What begins with "$", as $SYS does,
is left alone unless a filter begins with it, too.

Nothing is changed without --yes, or on a terminal an answer: restore and clear say
first what they would do.

How it is known that all have come stands in iotctl help get.`,
		Example: `  iotctl retained ls 'sensors/#'
  iotctl retained dump '#' -w retained.jsonl
  iotctl retained restore retained.jsonl
  iotctl retained clear 'old/#' --yes`,
		Args: oneOfItsCommands,

		SuggestionsMinimumDistance: 2,
		RunE:                       func(*cobra.Command, []string) error { return nil }, // Args lets nothing through
	}
	cmd.AddCommand(newRetainedLs(), newRetainedDump(), newRetainedRestore(), newRetainedClear())
	for _, c := range cmd.Commands() {
		c.GroupID = ""
	}
	return cmd
}

// keeper works with the retained messages of one broker.
type keeper struct {
	*fetcher
	t       *terminal
	filters []string
}

// Bounds of what is kept in memory, and of one SUBSCRIBE: mosquitto drops what is
// above the QoS 0 and does not fit into its queue, of which the smallest in use holds
// 100 messages.
const (
	mostRetained = 10_000_000
	fetchAtOnce  = 100
)

// withKeeper connects, and has do work.
func withKeeper(ctx context.Context, s *settings, t *terminal, filters []string, do func(context.Context, *keeper) error) error {
	f, err := newFetcher(s, t)
	if err != nil {
		return err
	}
	ctx, stop := runContext(ctx, s, catchAtOnce)
	defer stop()
	if err := f.connect(ctx); err != nil {
		return err
	}
	err = do(ctx, &keeper{f, t, filters})
	f.Halt()
	_ = f.leave(0)
	return err
}

// retainedFilters are the arguments and those of -t.
func (s *settings) retainedFilters(what string) ([]string, error) {
	filters := append(s.topics, s.operands...)
	if len(filters) == 0 {
		return nil, fail(exitUsage, errors.New("which topics?"), "iotctl "+s.prog.String()+" FILTER, as in '#' for "+what)
	}
	for _, f := range filters {
		if err := validRetainedFilter(f); err != nil {
			return nil, fail(exitUsage, err)
		}
	}
	return filters, nil
}

// topics lists where something is retained, in order, with the sizes of the payloads.
// It asks with QoS 0, because of what is above that brokers drop what does not fit
// into their queues.
func (k *keeper) topics(ctx context.Context) ([]string, map[string]int, error) {
	var mu sync.Mutex
	sizes := map[string]int{}
	full := false
	err := k.fetch(ctx, k.filters, 0, func(m *client.Message) bool {
		mu.Lock()
		defer mu.Unlock()
		if full = len(sizes) >= mostRetained; !full {
			sizes[m.Topic] = len(m.Payload)
		}
		return full
	})
	if err == nil {
		err = k.forget(ctx, k.filters)
	}
	mu.Lock()
	defer mu.Unlock()
	if full && err == nil {
		err = fail(exitFailed, fmt.Errorf("more than %d messages are retained there", mostRetained), "give a narrower filter")
	}
	names := make([]string, 0, len(sizes))
	for name := range sizes {
		names = append(names, name)
	}
	slices.Sort(names)
	return names, sizes, err
}

// messages gives each the messages at these topics, in their order; nil where nothing
// is retained any more.
func (k *keeper) messages(ctx context.Context, topics []string, each func(topic string, m *recording.Message) error) error {
	for part := range slices.Chunk(topics, fetchAtOnce) {
		var mu sync.Mutex
		got := make(map[string]*recording.Message, len(part))
		err := k.fetch(ctx, part, k.s.qos, func(m *client.Message) bool {
			mu.Lock()
			defer mu.Unlock()
			got[m.Topic] = &recording.Message{
				Time: time.Now(), Topic: m.Topic, Payload: slices.Clone(m.Payload), QoS: m.QoS, Retain: true,
				PacketID: m.PacketID, Properties: slices.Clone(m.Properties.Without(mqtt.PropTopicAlias, mqtt.PropSubscriptionIdentifier)),
			}
			return len(got) == len(part)
		})
		if err == nil {
			err = k.forget(ctx, part)
		}
		if err != nil {
			return err
		}
		mu.Lock()
		for _, topic := range part {
			if err := each(topic, got[topic]); err != nil {
				mu.Unlock()
				return err
			}
		}
		mu.Unlock()
	}
	return nil
}

// confirm asks on a terminal whether to go on; elsewhere --yes decides. A signal is an
// error, and so is the end of the connection.
func (k *keeper) confirm(ctx context.Context, question, undone string) (bool, error) {
	if k.s.yes {
		return true, nil
	}
	if !k.t.inTTY || !k.t.errTTY {
		k.t.notef("%s: --yes does it", undone)
		return false, nil
	}
	k.t.mu.Lock()
	fmt.Fprintf(k.t.err, "%s [y/N] ", question)
	k.t.mu.Unlock()
	answered := make(chan string, 1)
	go func() { // ends with the process, if nobody answers
		var answer string
		_, _ = fmt.Fscanln(k.t.in, &answer)
		answered <- strings.ToLower(answer)
	}()
	select {
	case answer := <-answered:
		if answer == "y" || answer == "yes" {
			return true, nil
		}
		k.t.notef("%s", undone)
		return false, nil
	case <-ctx.Done():
		k.t.mu.Lock()
		fmt.Fprintln(k.t.err) // behind the question
		k.t.mu.Unlock()
		k.t.notef("%s", undone)
		return false, failCause(ctx)
	case <-k.Done():
		return false, k.ended()
	}
}

// untaken are messages that the broker has not taken.
type untaken struct {
	mu      sync.Mutex
	n       int
	lost    int      // of n: nobody has answered
	reasons []string // of the first
}

func (f *untaken) add(topic, reason string) { f.count(topic, reason, false) }

func (f *untaken) count(topic, reason string, lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if lost {
		f.lost++
	}
	if f.n++; len(f.reasons) < maxComplaints {
		f.reasons = append(f.reasons, fmt.Sprintf("%q: %s", topic, reason))
	}
}

// publishAll publishes what next returns until it returns nil, and waits for the
// outcomes.
func (k *keeper) publishAll(ctx context.Context, next func() *client.Message, failed *untaken) error {
	for m := next(); m != nil; m = next() {
		topic := m.Topic
		err := k.Publish(ctx, *m, func(o client.Outcome) {
			if reason := refusal(&o); reason != "" {
				failed.count(topic, reason, o.Kind == client.Lost)
			}
		})
		if limit := (*client.LimitError)(nil); errors.As(err, &limit) {
			failed.add(topic, err.Error())
			continue
		}
		if err != nil {
			return k.failRequest(ctx, "publish", err)
		}
	}
	if err := k.Flush(ctx); err != nil {
		return k.failRequest(ctx, "publish", err)
	}
	return nil
}

// refusal is why a message was not taken; "" if it was.
func refusal(o *client.Outcome) string {
	switch {
	case o.Kind == client.Acknowledged, o.Kind == client.Written:
		return ""
	case o.Err != nil:
		return o.Err.Error()
	case o.Kind == client.Lost:
		return "not acknowledged"
	}
	reason := fmt.Sprintf("%s (0x%02x)", o.Code, uint8(o.Code))
	if s, ok := o.Properties.String(mqtt.PropReasonString); ok && s != "" {
		reason += fmt.Sprintf(": %q", s)
	}
	return reason
}

// tell prints why messages were not taken.
func (k *keeper) tell(f *untaken, total int, done string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.n == 0 {
		return nil
	}
	if !k.s.quiet {
		for _, r := range f.reasons {
			k.t.warnf("%s", r)
		}
		if more := f.n - len(f.reasons); more > 0 {
			k.t.warnf("and %d more", more)
		}
	}
	code := exitPublishRefused
	if f.lost == f.n {
		code = exitUnacknowledged
	}
	return fail(code, fmt.Errorf("%d of %s not %s", f.n, counted(total, "message"), done))
}

// byteCounts adds up sizes.
func byteCounts(sizes map[string]int) (n int) {
	for _, size := range sizes {
		n += size
	}
	return n
}

// retainedOrders are the orders of ls. All that is equal is in the order of topics.
var retainedOrders = map[string]func(a, b *retainedRow) int{
	"topic": func(*retainedRow, *retainedRow) int { return 0 },
	"size":  func(a, b *retainedRow) int { return cmp.Compare(b.size, a.size) },
	"qos":   func(a, b *retainedRow) int { return cmp.Compare(b.qos, a.qos) },
	"age":   func(a, b *retainedRow) int { return cmp.Compare(b.age, a.age) },
}
