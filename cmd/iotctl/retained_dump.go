package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/recording"
)

func newRetainedDump() *cobra.Command {
	return clientCommand(progRetainedDump, &cobra.Command{
		Use:   "dump [url] filter... [-w file] [options]",
		Short: "Save retained messages as JSON Lines",
		Long: `Writes the retained messages that fit the filters as JSON Lines, in the order of
their topics, with QoS and properties: what iotctl retained restore reads, and iotctl
replay and iotctl pub --jsonl, too.

The message expiry interval is what is left of it.`,
		Example: `  iotctl retained dump '#' > retained.jsonl
  iotctl retained dump mqtts://broker.example 'config/#' -w config.jsonl`,
		Args: cobra.ArbitraryArgs,
	}, runRetainedDump)
}

func runRetainedDump(ctx context.Context, s *settings, t *terminal) error {
	filters, err := s.retainedFilters("all")
	if err != nil {
		return err
	}
	if s.out == "" {
		s.out = "-"
	}
	return withKeeper(ctx, s, t, filters, func(ctx context.Context, k *keeper) error {
		topics, _, err := k.topics(ctx)
		if err != nil {
			return err // and a file that is there stays as it is
		}
		return k.dump(ctx, topics)
	})
}

// dump writes what is retained at these topics.
func (k *keeper) dump(ctx context.Context, topics []string) (err error) {
	f, _, err := k.s.createOut(k.t, formatLines)
	if err != nil {
		return err
	}
	out := recording.NewLines(f)
	defer func() {
		if end := errors.Join(out.Flush(), f.Close()); err == nil && end != nil {
			err = fail(exitFailed, fmt.Errorf("write %s: %w", k.s.out, cause(end)))
		}
	}()
	n := 0
	err = k.messages(ctx, topics, func(_ string, m *recording.Message) error {
		if m == nil {
			return nil // gone meanwhile
		}
		n++
		return out.Message(m)
	})
	if err == nil && !k.s.quiet {
		k.t.notef("%s", counted(n, "retained message"))
	}
	return err
}
