package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/recording"
	"github.com/iotctl/iotctl/internal/router"
)

func newGet() *cobra.Command {
	return clientCommand(progGet, &cobra.Command{
		Use:   "get [url] topic [options]",
		Short: "Print the retained message of a topic",
		Long: `Prints the retained message of one topic, as iotctl sub would, and ends with code 0;
with code 12 if nothing is retained there.

It does not wait for a time to find out that there is nothing: it asks for
$SYS/broker/version behind the topic, and when that arrives, the broker has answered
all. Of brokers that have no such topic, or refuse it, it waits until nothing has come
for --grace, which is 300ms. --fence names another topic of that kind.

With --all the topic may be a filter with wildcards. iotctl retained lists, saves and
clears them.`,
		Example: `  iotctl get sensors/1
  iotctl get mqtts://broker.example config/dev1 -o jsonl
  iotctl get 'config/+' --all -v
  value=$(iotctl get state/door) || echo "nobody knows"`,
		Args: cobra.ArbitraryArgs,
	}, runGet)
}

func runGet(ctx context.Context, s *settings, t *terminal) error {
	topic, err := s.getTopic()
	if err != nil {
		return err
	}
	out, err := newPrinter(s, t)
	if err != nil {
		return err
	}
	g := &getter{out: out, s: s}
	err = withKeeper(ctx, s, out.terminal(t), []string{topic}, g.get)
	if err == nil && g.printed == 0 {
		err = fail(exitNothing, fmt.Errorf("nothing is retained at %q", topic))
	}
	return out.closeAfter(err)
}

// getTopic is the topic that is asked for.
func (s *settings) getTopic() (string, error) {
	topics := append(s.topics, s.operands...)
	switch {
	case len(topics) == 0:
		return "", fail(exitUsage, errors.New("which topic?"), "iotctl get TOPIC")
	case len(topics) > 1:
		return "", fail(exitUsage, fmt.Errorf("%q is one topic too many", topics[1]), "iotctl get 'FILTER' --all prints several")
	}
	topic := topics[0]
	if err := validRetainedFilter(topic); err != nil {
		return "", fail(exitUsage, err)
	}
	if !s.all && strings.ContainsAny(topic, "+#") {
		return "", fail(exitUsage, fmt.Errorf("%q has wildcards", topic), "iotctl get '"+topic+"' --all prints all that fit", "iotctl retained ls '"+topic+"' lists them")
	}
	return topic, nil
}

// validRetainedFilter checks a filter of retained messages, which shared subscriptions
// do not bring.
func validRetainedFilter(filter string) error {
	if err := router.ValidateFilter(filter); err != nil {
		return err
	}
	if _, _, shared, _ := router.SplitShared(filter); shared {
		return fmt.Errorf("%q: a shared subscription brings no retained messages", filter)
	}
	return nil
}

// getter prints what is retained.
type getter struct {
	out     *printer
	s       *settings
	printed int
}

// get asks for the messages. Of a filter with wildcards it asks twice, first where there
// is something: many messages at once do not fit into the queues of brokers.
func (g *getter) get(ctx context.Context, k *keeper) error {
	topics := k.filters
	if g.s.all {
		var err error
		if topics, _, err = k.topics(ctx); err != nil {
			return err
		}
	}
	return k.messages(ctx, topics, func(_ string, m *recording.Message) error {
		if m == nil {
			return nil // nothing, or gone meanwhile
		}
		g.printed++
		return g.out.print(&client.Message{
			Topic: m.Topic, Payload: m.Payload, QoS: m.QoS, Retain: true, PacketID: m.PacketID, Properties: m.Properties,
		}, m.Time)
	})
}
