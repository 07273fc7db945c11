package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/record"
)

type diffOptions struct {
	replayOptions
	late   time.Duration
	by     string
	asJSON bool
}

func newProxyDiff() *cobra.Command {
	var o diffOptions
	cmd := &cobra.Command{
		Use:   "diff recording (now | --to URL)",
		Short: "Show where answers differ from a recording",
		Long: `Compares two recordings, or plays one to a broker and compares what it answers:
what is missing, what is extra, other reason codes, another order of the messages of
a topic, and how long answers took. Sessions belong together that iotctl proxy replay
has made of each other, else those of the same client in their order. Packet
identifiers do not count.

It ends with 0 if nothing differs, and with 1 otherwise. How long answers took is no
difference unless --late is given.`,
		Example: `  iotctl proxy diff morning.rec --to mqtt://127.0.0.1:1883 --speed max
  iotctl proxy diff morning.rec now.rec
  iotctl proxy diff morning.rec now.rec --late 100ms --json`,
		Args: func(_ *cobra.Command, args []string) error {
			want := 2
			if o.to != "" {
				want = 1
			}
			if len(args) != want {
				return fail(exitUsage, errors.New("two recordings, or one and --to, are compared"), "iotctl proxy diff FILE --to URL")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			return runProxyDiff(cmd.Context(), newTerminal(cmd), args, &o)
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().DurationVar(&o.late, "late", 0, "an answer that takes this much longer than recorded, as a `time`, is a difference")
	cmd.Flags().StringVar(&o.by, "by", "broker", "compare what this `side` says: broker or clients")
	cmd.Flags().BoolVar(&o.asJSON, "json", false, "print a JSON object")
	cmd.Flags().StringVarP(&o.out, "out", "o", "", "with --to: write down what happens to this `file`")
	return cmd
}

func runProxyDiff(ctx context.Context, t *terminal, args []string, o *diffOptions) error {
	if o.by != "broker" && o.by != "clients" {
		return usagef("--by: %q is neither broker nor clients", o.by)
	}
	opt, err := o.options()
	if err != nil {
		return err
	}
	rec, err := readRecording(t, args[0])
	if err != nil {
		return err
	}
	now, err := o.now(ctx, t, rec, args, opt)
	if err != nil {
		return err
	}
	d := record.DiffOptions{Late: o.late, By: proxy.ToClient}
	if o.by == "clients" {
		d.By = proxy.ToServer
	}
	c := record.Compare(rec, now, d)
	if o.asJSON {
		err = json.NewEncoder(t.out).Encode(c)
	} else {
		err = c.WriteText(t.out)
	}
	if err != nil {
		return err
	}
	if n := len(c.Differences); n > 0 {
		return fail(exitFailed, fmt.Errorf("%s from the recording", counted(n, "difference")))
	}
	t.notef("%s: no differences", counted(c.Sessions, "session"))
	return nil
}

// now is what the recording is compared with.
func (o *diffOptions) now(ctx context.Context, t *terminal, rec *record.Recording, args []string, opt record.Options) (*record.Recording, error) {
	if o.to == "" {
		return readRecording(t, args[1])
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	res, err := record.Play(ctx, rec, opt)
	if err != nil {
		return nil, err
	}
	if o.out != "" {
		if err := writeRecording(o.out, res.Now); err != nil {
			return nil, err
		}
	}
	if len(res.Failed) == res.Sessions {
		return nil, replayFailure(t, res, nil)
	}
	for _, e := range res.Failed {
		t.warnf("%v", e)
	}
	return res.Now, nil
}
