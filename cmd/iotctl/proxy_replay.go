package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/record"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/transport"
)

// replayOptions are those of replay, and of diff with --to.
type replayOptions struct {
	to           string
	ca           string
	cert, key    string
	insecure     bool
	as           string
	listen       string
	portsFile    string
	speed        string
	loop         int
	copies       int
	clientID     string
	patience     time.Duration
	passwordFile string
	out          string
}

func (o *replayOptions) flags(f *pflag.FlagSet) {
	f.StringVar(&o.to, "to", "", "play the clients to the broker at this `URL`")
	f.StringVar(&o.ca, "to-ca", "", "trust the authorities in this PEM `file` about the broker")
	f.StringVar(&o.cert, "to-cert", "", "show the broker the client certificate in this `file` (PEM)")
	f.StringVar(&o.key, "to-key", "", "key `file` that belongs to --to-cert")
	f.BoolVar(&o.insecure, "to-insecure", false, "accept any certificate of the broker: whoever is in between can read and change everything")
	f.StringVar(&o.speed, "speed", "1", "this `factor` faster than recorded, or max: as fast as answers come")
	f.IntVar(&o.loop, "loop", 1, "play it this `number` of times")
	f.IntVar(&o.copies, "copies", 1, "play this `number` of each session at a time")
	f.StringVar(&o.clientID, "client-id", "", "`template` of client identifiers: {client} as recorded, {n} of the copy, {loop} (default {client}, with copies {client}-{n})")
	f.DurationVar(&o.patience, "wait", 5*time.Second, "the `time` to wait for an answer that does not come")
	f.StringVar(&o.passwordFile, "password-file", "", "log in with the password in this `file` where the recording has none")
}

func newProxyReplay() *cobra.Command {
	var o replayOptions
	cmd := &cobra.Command{
		Use:   "replay file (--to URL | --as broker --listen URL)",
		Short: "Play recorded sessions again, as the clients or as the broker",
		Long: `Plays what iotctl proxy --record has written, or a capture (pcap, pcapng): as the
clients against a broker, or as the broker for clients.

A packet is sent when its time has come and all that had come before it in the
recording has come: the PUBACK of the PUBLISH, the message that was delivered. With
--speed max the clock does not count. Packet identifiers are those that are given
now. What is missing is waited for, as long as --wait says, once.

Passwords are in a recording only if it was made with --secrets; otherwise
--password-file gives one for all.

--out writes down what happens, for iotctl proxy diff, which can play as well.

It ends with 0 if every session could be played to its end, else with 1; 3 if the
broker cannot be reached.`,
		Example: `  iotctl proxy replay morning.rec --to mqtt://127.0.0.1:1883
  iotctl proxy replay morning.rec --to mqtt://127.0.0.1:1883 --speed max --copies 100 --client-id '{client}-{n}'
  iotctl proxy replay morning.rec --as broker --listen mqtt://127.0.0.1:1884`,
		Args: oneFile("recording", "iotctl proxy replay FILE --to URL"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runProxyReplay(cmd.Context(), newTerminal(cmd), args[0], &o)
		},
	}
	o.flags(cmd.Flags())
	cmd.Flags().StringVar(&o.as, "as", "clients", "play the `side` of the clients or of the broker")
	cmd.Flags().StringVar(&o.listen, "listen", "", "with --as broker: take clients in at this `URL`")
	cmd.Flags().StringVar(&o.portsFile, "ports", "", "with --as broker: write the open port as JSON to a `file` when clients can connect")
	cmd.Flags().StringVarP(&o.out, "out", "o", "", "write down what happens to this `file`")
	return cmd
}

// oneFile is for commands with one argument.
func oneFile(what, hint string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		switch len(args) {
		case 0:
			return fail(exitUsage, errors.New("which "+what+"?"), hint)
		case 1:
			return nil
		}
		return fail(exitUsage, fmt.Errorf("%q is one file too many", args[1]), hint)
	}
}

// options turns the flags into those of a replay.
func (o *replayOptions) options() (record.Options, error) {
	r := record.Options{Loops: o.loop, Copies: o.copies, ClientID: o.clientID, Patience: o.patience}
	var err error
	if o.speed == "max" {
		r.Speed = math.Inf(1)
	} else if r.Speed, err = strconv.ParseFloat(strings.TrimSuffix(o.speed, "x"), 64); err != nil || !(r.Speed > 0) {
		return r, fail(exitUsage, fmt.Errorf("--speed: %q is no factor", o.speed), "--speed 10, or --speed max")
	}
	if o.loop < 1 || o.copies < 1 {
		return r, usagef("--loop and --copies are at least 1")
	}
	if o.passwordFile != "" {
		b, err := os.ReadFile(o.passwordFile)
		if err != nil {
			return r, fail(exitUsage, err)
		}
		r.Password = bytes.TrimRight(b, "\r\n")
	}
	if o.to != "" {
		if r.Dial, err = o.dialer(); err != nil {
			return r, fail(exitUsage, fmt.Errorf("--to: %w", err))
		}
	}
	if err := r.Validate(); err != nil {
		return r, fail(exitUsage, err, "--client-id '{client}-{n}'")
	}
	return r, nil
}

func (o *replayOptions) dialer() (func(ctx context.Context) (net.Conn, error), error) {
	e, err := transport.Parse(o.to, proxy.Schemes())
	if err != nil {
		return nil, err
	}
	t, err := (&transport.ClientTLS{CAFile: o.ca, CertFile: o.cert, KeyFile: o.key, SkipVerify: o.insecure}).Load()
	if err != nil {
		return nil, err
	}
	return func(ctx context.Context) (net.Conn, error) {
		return transport.DialEndpoint(ctx, e, transport.DialConfig{TLS: t})
	}, nil
}

func runProxyReplay(ctx context.Context, t *terminal, file string, o *replayOptions) error {
	switch {
	case o.as != "clients" && o.as != "broker":
		return usagef("--as: %q is neither clients nor broker", o.as)
	case o.as == "clients" && o.to == "":
		return fail(exitUsage, errors.New("the clients of a recording need a broker"), "--to mqtt://127.0.0.1:1883")
	case o.as == "broker" && o.listen == "":
		return fail(exitUsage, errors.New("the broker of a recording needs an address"), "--listen mqtt://127.0.0.1:1884")
	case o.as == "clients" && o.listen != "", o.as == "broker" && o.to != "":
		return usagef("--to is for --as clients, and --listen for --as broker")
	}
	opt, err := o.options()
	if err != nil {
		return err
	}
	opt.Forget = o.out == ""
	rec, err := readRecording(t, file)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	var res *record.Result
	if o.as == "broker" {
		res, err = o.stage(ctx, t, rec, opt)
	} else {
		res, err = record.Play(ctx, rec, opt)
	}
	if res == nil {
		return err
	}
	if o.out != "" {
		if err := writeRecording(o.out, res.Now); err != nil {
			return err
		}
	}
	t.notef("%s played in %v", counted(res.Sessions, "session"), res.Took.Round(time.Millisecond))
	return replayFailure(t, res, err)
}

// replayFailure prints why sessions could not be played.
func replayFailure(t *terminal, res *record.Result, err error) error {
	const most = 10
	for i, e := range res.Failed {
		if i == most {
			t.errorf("and %d more", len(res.Failed)-most)
			break
		}
		t.errorf("%v", e)
	}
	var dial *transport.Error
	switch {
	case err != nil && !errors.Is(err, context.Canceled):
		return err
	case len(res.Failed) == 0 && err != nil:
		return fail(exitFailed, errors.New("stopped before its end"))
	case len(res.Failed) == 0:
		return nil
	case errors.As(errors.Join(res.Failed...), &dial):
		return fail(exitConnect, fmt.Errorf("%s of %d could not be played", counted(len(res.Failed), "session"), res.Sessions))
	}
	return fail(exitFailed, fmt.Errorf("%s of %d could not be played to the end", counted(len(res.Failed), "session"), res.Sessions))
}

// stage plays the broker until all sessions have been played, or ctx ends.
func (o *replayOptions) stage(ctx context.Context, t *terminal, rec *record.Recording, opt record.Options) (*record.Result, error) {
	b, err := record.NewBroker(rec, opt)
	if err != nil {
		return nil, err
	}
	cfg := transport.ListenConfig{Schemes: proxy.Schemes(), MaxConnRate: -1}
	e, err := transport.Parse(o.listen, cfg.Schemes)
	if err == nil && e.Scheme.TLS {
		err = fmt.Errorf("%s: put iotctl proxy in front, which speaks TLS", tls.VersionName(tls.VersionTLS13))
	}
	if err != nil {
		return nil, fail(exitUsage, fmt.Errorf("--listen: %w", err))
	}
	l, err := transport.Listen(ctx, o.listen, cfg)
	if err != nil {
		return nil, fail(exitFailed, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	t.notef("a broker of %s at %s", counted(len(rec.Sessions), "session"), l.URL())
	w := serveOptions{portsFile: o.portsFile}
	if err := w.writePortsFile(t.out, []serve.Port{{Protocol: "mqtt", Transport: l.Scheme().Name, Address: l.Addr().String(), URL: l.URL()}}); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	var wg sync.WaitGroup
	for {
		nc, err := l.Accept()
		if err != nil {
			break
		}
		wg.Go(func() {
			if err := nc.Handshake(ctx); err != nil {
				t.warnf("%v", err)
				return
			}
			if err := b.Serve(ctx, nc); err != nil {
				t.warnf("%v", err)
			}
			if b.Left() == 0 {
				cancel()
			}
		})
	}
	wg.Wait()
	if n := b.Left(); n > 0 {
		err = fail(exitFailed, fmt.Errorf("nobody came for %s of %d", counted(n, "session"), len(rec.Sessions)))
	} else {
		err = nil
	}
	return b.Result(), err
}

// readRecording reads a recording or a capture; - is standard input.
func readRecording(t *terminal, name string) (*record.Recording, error) {
	in := t.in
	if name != "-" {
		f, err := os.Open(name)
		if err != nil {
			return nil, fail(exitUsage, err)
		}
		defer f.Close()
		in = f
	}
	rec, err := record.Load(in)
	switch {
	case errors.Is(err, record.ErrNoRecording):
		return nil, fail(exitMalformed, fmt.Errorf("%s: neither a recording of iotctl proxy nor a capture", name), "iotctl proxy --record FILE makes one")
	case err != nil:
		return nil, fail(exitMalformed, fmt.Errorf("%s: %w", name, err))
	case len(rec.Sessions) == 0:
		return nil, fail(exitMalformed, fmt.Errorf("%s: no MQTT session is in it", name))
	}
	return rec, nil
}

func writeRecording(name string, rec *record.Recording) (err error) {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return fail(exitUsage, err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return rec.Write(io.Writer(f))
}
