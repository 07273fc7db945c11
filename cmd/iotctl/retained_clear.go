package main

import (
	"bufio"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/client"
)

func newRetainedClear() *cobra.Command {
	return clientCommand(progRetainedClear, &cobra.Command{
		Use:   "clear [url] filter... [--yes] [options]",
		Short: "Make the broker forget retained messages",
		Long: `Lists what is retained and fits the filters. With --yes, or on a terminal when the
question is answered with y, it clears exactly these, and looks afterwards whether
they are gone. Without, nothing is changed.

It ends with 8 if the broker has refused to clear one, or has kept it: in MQTT 3.1.1
a broker cannot refuse, and only looking tells.`,
		Example: `  iotctl retained clear 'old/#'
  iotctl retained clear 'old/#' 'test/+' --yes`,
		Args: cobra.ArbitraryArgs,
	}, runRetainedClear)
}

func runRetainedClear(ctx context.Context, s *settings, t *terminal) error {
	filters, err := s.retainedFilters("all but $SYS")
	if err != nil {
		return err
	}
	return withKeeper(ctx, s, t, filters, func(ctx context.Context, k *keeper) error {
		topics, sizes, err := k.topics(ctx)
		if err != nil {
			return err
		}
		w := bufio.NewWriter(t.out)
		for _, topic := range topics {
			_, _ = w.Write(append(appendShown(fmt.Appendf(nil, "%9d  ", sizes[topic]), topic, t.outTTY), '\n'))
		}
		if err := w.Flush(); err != nil {
			return err
		}
		what := fmt.Sprintf("%s, %s of payload", counted(len(topics), "retained message"), counted(byteCounts(sizes), "byte"))
		if len(topics) == 0 {
			t.notef("nothing is retained there")
			return nil
		}
		yes, err := k.confirm(ctx, "clear "+what+", at "+s.brokerName()+"?", what+": nothing was cleared")
		if !yes {
			return err
		}
		return k.clear(ctx, topics)
	})
}

// clear clears these topics, and looks whether they are.
func (k *keeper) clear(ctx context.Context, topics []string) error {
	var failed untaken
	i := 0
	err := k.publishAll(ctx, func() *client.Message {
		if i == len(topics) {
			return nil
		}
		i++
		return &client.Message{Topic: topics[i-1], QoS: 1, Retain: true}
	}, &failed)
	if err != nil {
		return err
	}
	if err := k.tell(&failed, len(topics), "cleared"); err != nil {
		return err
	}
	left, _, err := k.topics(ctx)
	if err != nil {
		return err
	}
	there := make(map[string]bool, len(left))
	for _, topic := range left {
		there[topic] = true
	}
	for _, topic := range topics {
		if there[topic] {
			failed.add(topic, "is still there: the broker has kept it, or somebody has published again")
		}
	}
	if err := k.tell(&failed, len(topics), "cleared"); err != nil {
		return err
	}
	if !k.s.quiet {
		k.t.notef("%s cleared", counted(len(topics), "retained message"))
	}
	return nil
}
