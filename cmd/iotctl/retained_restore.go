package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/codec/mqtt"
	"github.com/iotctl/iotctl/internal/recording"
	"github.com/iotctl/iotctl/internal/router"
)

func newRetainedRestore() *cobra.Command {
	return clientCommand(progRetainedRestore, &cobra.Command{
		Use:   "restore file [url] [--yes] [options]",
		Short: "Publish saved retained messages again",
		Long: `Reads what iotctl retained dump has written, or any recording, of which it takes
the retained messages, the last of each topic. It compares them with what the broker
has and lists what is new and what is changed; what is the same is left alone, and so
is what is not in the file. With --yes, or on a terminal when the question is
answered with y, it publishes these, and looks afterwards whether they are there.

-t takes only topics that fit a filter; what begins with "$" is taken only if one
begins with it, too.

It ends with 8 if the broker has refused one, or does not have it afterwards.`,
		Example: `  iotctl retained restore retained.jsonl
  iotctl retained restore retained.jsonl mqtt://new.example --yes
  iotctl retained dump mqtt://old.example '#' | iotctl retained restore - mqtt://new.example --yes`,
		Args: cobra.ArbitraryArgs,
	}, runRetainedRestore)
}

// saved are the messages of a file.
type saved struct {
	messages map[string]*recording.Message
	topics   []string
	others   int // messages that are not retained
}

// mostSaved bounds the payloads of what is restored.
const mostSaved = 1 << 30

func runRetainedRestore(ctx context.Context, s *settings, t *terminal) error {
	name, err := s.replayFile()
	if err != nil {
		return err
	}
	all, err := s.readSaved(ctx, t, name)
	if err != nil {
		return err
	}
	if all.others > 0 && !s.quiet {
		t.notef("%s not retained, and left alone", counted(all.others, "message"))
	}
	if len(all.topics) == 0 {
		t.notef("there is nothing to restore in %s", name)
		return nil
	}
	return withKeeper(ctx, s, t, nil, func(ctx context.Context, k *keeper) error { return k.restore(ctx, all) })
}

// readSaved reads the retained messages of a recording.
func (s *settings) readSaved(ctx context.Context, t *terminal, name string) (*saved, error) {
	in, err := openReplay(s, t, name)
	if err != nil {
		return nil, err
	}
	defer in.close()
	all := &saved{messages: map[string]*recording.Message{}}
	filters := s.topics
	if len(filters) == 0 {
		filters = []string{"#"} // which $SYS does not fit
	}
	size := 0
	r := &replayer{s: s, t: t, in: in}
	for {
		item, err := in.next(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			if err := r.damaged(err); err != nil {
				return nil, err
			}
			return nil, fail(exitMalformed, fmt.Errorf("%s is cut: %s", name, r.cut), "a part of the messages is restored if the last line goes: head -n -1")
		}
		if item.Gap != nil || !slices.ContainsFunc(filters, func(f string) bool { return router.Match(f, item.Topic) }) {
			continue
		}
		if !item.Retain {
			all.others++
			continue
		}
		m := item.Message
		m.Payload = slices.Clone(m.Payload)
		m.Properties = slices.Clone(m.Properties.Without(mqtt.PropTopicAlias, mqtt.PropSubscriptionIdentifier))
		if size += len(m.Payload) + len(m.Properties); size > mostSaved {
			return nil, fail(exitFailed, fmt.Errorf("%s has more than %d bytes", name, mostSaved), "-t takes a part")
		}
		all.messages[m.Topic] = &m
	}
	for topic := range all.messages {
		all.topics = append(all.topics, topic)
	}
	slices.Sort(all.topics)
	return all, nil
}

// restore lists what would change, asks, and does it.
func (k *keeper) restore(ctx context.Context, all *saved) error {
	w := bufio.NewWriter(k.t.out)
	var changes []string
	fresh, cleared, same, bare := 0, 0, 0, 0
	err := k.messages(ctx, all.topics, func(topic string, has *recording.Message) error {
		want := all.messages[topic]
		what := "changed"
		switch {
		case k.equal(want, has):
			same++
			return nil
		case has == nil:
			what = "new"
			fresh++
		case len(want.Payload) == 0:
			what = "cleared"
			cleared++
		}
		if len(want.Properties) > 0 && k.s.version != mqtt.V5 {
			bare++
		}
		changes = append(changes, topic)
		_, _ = w.Write(append(appendShown(fmt.Appendf(nil, "%-7s %9d  ", what, len(want.Payload)), topic, k.t.outTTY), '\n'))
		return nil
	})
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return err
	}
	what := fmt.Sprintf("%d new, %d changed, %d the same", fresh, len(changes)-fresh-cleared, same)
	if bare > 0 {
		k.t.warnf("%s without their properties, which MQTT %s has not: -V 5 keeps them", counted(bare, "message"), k.s.version)
	}
	if cleared > 0 {
		what += fmt.Sprintf(", %d to be cleared", cleared)
	}
	if len(changes) == 0 {
		k.t.notef("%s: there is nothing to do", what)
		return nil
	}
	yes, err := k.confirm(ctx, what+": publish "+counted(len(changes), "message")+" to "+k.s.brokerName()+"?", what+": nothing was published")
	if !yes {
		return err
	}
	return k.publishSaved(ctx, all, changes)
}

// equal tells whether the broker has what is wanted. Of a message that expires the
// interval counts down.
func (k *keeper) equal(want, has *recording.Message) bool {
	if has == nil {
		return len(want.Payload) == 0 // which clears
	}
	a, b := want.Properties, has.Properties
	if k.s.version != mqtt.V5 {
		a, b = nil, nil
	}
	expires := mqtt.PropMessageExpiryInterval
	return min(want.QoS, uint8(k.s.qos)) == has.QoS && bytes.Equal(want.Payload, has.Payload) &&
		a.Has(expires) == b.Has(expires) && sameProperties(a.Without(expires), b.Without(expires))
}

// sameProperties compares without regard to the order of different properties.
func sameProperties(a, b mqtt.Properties) bool {
	return bytes.Equal(sortedProperties(a), sortedProperties(b))
}

func sortedProperties(p mqtt.Properties) mqtt.Properties {
	var all []mqtt.Property
	for q := range p.All() {
		all = append(all, q)
	}
	slices.SortStableFunc(all, func(a, b mqtt.Property) int { return int(a.ID) - int(b.ID) })
	var out mqtt.Properties
	for _, q := range all {
		out = out.Append(q)
	}
	return out
}

// publishSaved publishes the messages of these topics, and looks whether they are
// there.
func (k *keeper) publishSaved(ctx context.Context, all *saved, topics []string) error {
	var failed untaken
	i := 0
	err := k.publishAll(ctx, func() *client.Message {
		if i == len(topics) {
			return nil
		}
		m := all.messages[topics[i]]
		i++
		out := &client.Message{Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: true}
		if k.s.version == mqtt.V5 {
			out.Properties = m.Properties
		}
		return out
	}, &failed)
	if err != nil {
		return err
	}
	if err := k.tell(&failed, len(topics), "restored"); err != nil {
		return err
	}
	err = k.messages(ctx, topics, func(topic string, has *recording.Message) error {
		if !k.equal(all.messages[topic], has) {
			failed.add(topic, "is not there as it was published: the broker has not taken it, or somebody has published since")
		}
		return nil
	})
	if err == nil {
		err = k.tell(&failed, len(topics), "restored")
	}
	if err == nil && !k.s.quiet {
		k.t.notef("%s restored", counted(len(topics), "message"))
	}
	return err
}
