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

func runRetainedDump(ctx context.Context, s *settings, t *terminal) (err error) {
	filters, err := s.retainedFilters("all")
	if err != nil {
		return err
	}
	if s.out == "" {
		s.out = "-"
	}
	f, _, err := s.createOut(t, formatLines)
	if err != nil {
		return err
	}
	out := recording.NewLines(f)
	defer func() {
		if end := errors.Join(out.Flush(), f.Close()); err == nil && end != nil {
			err = fail(exitFailed, fmt.Errorf("write %s: %w", s.out, cause(end)))
		}
	}()
	return withKeeper(ctx, s, t, filters, func(ctx context.Context, k *keeper) error {
		topics, _, err := k.topics(ctx)
		if err != nil {
			return err
		}
		n := 0
		err = k.messages(ctx, topics, func(_ string, m *recording.Message) error {
			if m == nil {
				return nil // gone meanwhile
			}
			n++
			return out.Message(m)
		})
		if err == nil && !s.quiet {
			t.notef("%s", counted(n, "retained message"))
		}
		return err
	})
}
