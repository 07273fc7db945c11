package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/iotctl/iotctl/internal/display"
	"github.com/iotctl/iotctl/internal/proxy"
	"github.com/iotctl/iotctl/internal/proxy/control"
	"github.com/iotctl/iotctl/internal/proxy/fault"
	"github.com/iotctl/iotctl/internal/proxy/record"
	"github.com/iotctl/iotctl/internal/proxy/trace"
	"github.com/iotctl/iotctl/internal/selector"
	"github.com/iotctl/iotctl/internal/serve"
)

// proxyFaults is the section faults of the configuration file.
type proxyFaults struct {
	Rules    []string
	Scenario serve.File
	Seed     *uint32
}

// proxyControl is the section control of the configuration file.
type proxyControl struct {
	Listen    string
	TokenFile serve.File
}

// proxyTools is what looks at packets and breaks them: the live log, captures,
// recordings, faults, and who controls them.
type proxyTools struct {
	file *proxyFile

	faults       []string
	scenario     string
	seed         string
	show         bool
	filter       string
	follow       string
	json         bool
	quiet        bool
	secrets      bool
	wait         bool
	lines        int
	capture      string
	record       string
	control      string
	controlToken string

	configuredFaults bool // faults are those of the file

	run     *proxyRun
	set     *fault.Set
	taps    []*proxy.Tap
	running sync.WaitGroup
}

func newProxyTools(f *proxyFile) *proxyTools { return &proxyTools{file: f} }

func (p *proxyTools) part() proxyPart { return proxyPart{flags: p.flags, open: p.open} }

func (p *proxyTools) flags(f *pflag.FlagSet) {
	f.BoolVar(&p.show, "show", false, "print a line for each packet")
	f.StringVar(&p.filter, "filter", "", "--show only packets of which this `expression` is true, as in 'PUBLISH topic=cmd/#'")
	f.StringVar(&p.follow, "follow", "", "--show only this `client`; * and ? stand for others")
	f.BoolVar(&p.json, "json", false, "--show a JSON object for each packet")
	f.IntVar(&p.lines, "max-lines", 0, "--show at most this `number` of lines in a second, and how many were left out (default: all)")
	f.BoolVar(&p.wait, "wait-for-output", false, "have traffic wait when the output of --show is slow, instead of leaving packets out")
	f.BoolVar(&p.secrets, "secrets", false, "show and record passwords and authentication data")
	f.BoolVar(&p.quiet, "quiet", false, "do not tell of faults that are injected")
	f.StringVar(&p.capture, "capture", "", "write what passes, decrypted, to a pcapng `file` for Wireshark; - for standard output")
	f.StringVar(&p.record, "record", "", "write sessions to a `file` for iotctl proxy replay")
	f.StringArrayVar(&p.faults, "fault", nil, "break packets by this `rule`, as in 'drop @ s2c PUBACK / nth=3'; may be repeated")
	f.StringVar(&p.scenario, "scenario", "", "break packets by the rules and steps in this `file`")
	f.StringVar(&p.seed, "seed", "", "the `number` that chances depend on (default: that of the scenario, or a new one)")
	f.StringVar(&p.control, "control", "", "take orders over HTTP at this `address`, as in 127.0.0.1:0 or unix:///run/proxy.sock")
	f.StringVar(&p.controlToken, "control-token-file", "", "who gives orders needs the token in this `file`")
}

// open makes the stages, in the order of what clients send: everybody but the faults
// sees what the client sees.
func (p *proxyTools) open(r *proxyRun) ([]proxy.Factory, error) {
	p.run = r
	p.configured()
	if err := p.check(); err != nil {
		return nil, err
	}
	rules, scenario, err := p.rules()
	if err != nil || r.check || r.config.Transparent && !p.asked() {
		return nil, err
	}
	var stages []proxy.Factory
	var connections *control.Connections
	if p.control != "" {
		connections = control.NewConnections()
		stages = append(stages, connections)
	}
	if err := p.openTaps(len(rules) > 0 || scenario != nil || p.control != ""); err != nil {
		return nil, err
	}
	for _, t := range p.taps {
		stages = append(stages, t)
	}
	if len(rules) == 0 && scenario == nil && p.control == "" {
		return stages, nil
	}
	if err := p.openFaults(rules, scenario); err != nil {
		return nil, err
	}
	if p.control != "" {
		r.starts(func(ctx context.Context, e *proxy.Engine) error { return p.serveControl(ctx, e, connections) })
	}
	return append(stages, p.set), nil
}

// configured takes from the file what the command line does not say.
func (p *proxyTools) configured() {
	f := p.file
	if p.faults == nil {
		p.faults, p.configuredFaults = f.Faults.Rules, true
	}
	if p.seed == "" && f.Faults.Seed != nil {
		p.seed = strconv.FormatUint(uint64(*f.Faults.Seed), 10)
	}
	for _, s := range []struct {
		flag *string
		file string
	}{
		{&p.scenario, string(f.Faults.Scenario)},
		{&p.capture, string(f.Capture)},
		{&p.record, string(f.Record)},
		{&p.control, f.Control.Listen},
		{&p.controlToken, string(f.Control.TokenFile)},
	} {
		if *s.flag == "" {
			*s.flag = s.file
		}
	}
	p.show = p.show || p.filter != "" || p.follow != "" || p.json || p.lines > 0
}

func (p *proxyTools) asked() bool {
	return p.show || p.capture != "" || p.record != "" || p.faults != nil || p.scenario != "" || p.control != ""
}

func (p *proxyTools) check() error {
	switch {
	case p.show && (p.capture == "-" || p.record == "-"), p.capture == "-" && p.record == "-":
		return usagef("standard output can carry one of --show, --capture and --record only")
	case p.lines < 0:
		return usagef("--max-lines: %d is negative", p.lines)
	case p.controlToken != "" && p.control == "":
		return fail(exitUsage, errors.New("--control-token-file is for --control"), "--control 127.0.0.1:0")
	case p.run.config.Transparent && p.asked():
		return fail(exitUsage, errors.New("--transparent knows nothing of packets, so they cannot be shown, recorded or broken"))
	}
	return nil
}

// rules reads the rules of the command line and the scenario.
func (p *proxyTools) rules() ([]*fault.Rule, *fault.Scenario, error) {
	var all []*fault.Rule
	for i, text := range p.faults {
		r, err := fault.ParseRule(text)
		if err != nil {
			what := "--fault"
			if p.configuredFaults {
				what = fmt.Sprintf("faults.rules[%d]", i)
			}
			return nil, nil, ruleFailure(what, text, err)
		}
		all = append(all, r)
	}
	if p.scenario == "" {
		return all, nil, nil
	}
	sc, err := readScenario(p.run.t, p.scenario)
	if err != nil {
		return nil, nil, err
	}
	return append(all, sc.Rules...), sc, nil
}

// ruleFailure shows where in a rule the mistake is.
func ruleFailure(what, text string, err error) error {
	hints := []string{"iotctl help faults"}
	var m *fault.Mistake
	if errors.As(err, &m) {
		err = fmt.Errorf("%s %q: column %d: %s", what, text, m.Column, m.Text)
		if m.Hint != "" {
			hints = append([]string{m.Hint}, hints...)
		}
	}
	return fail(exitUsage, err, hints...)
}

// readScenario reads a file; all its mistakes but the last are printed.
func readScenario(t *terminal, name string) (*fault.Scenario, error) {
	var src []byte
	var err error
	if name == "-" {
		src, err = io.ReadAll(io.LimitReader(t.in, 2<<20))
	} else {
		src, err = os.ReadFile(name)
	}
	if err != nil {
		return nil, fail(exitUsage, err)
	}
	sc, err := fault.ParseScenario(src)
	if err == nil {
		return sc, nil
	}
	all := joinedIn(err)
	for _, e := range all[:len(all)-1] {
		t.errorf("%s:%v", name, e)
	}
	return nil, fail(exitUsage, fmt.Errorf("%s:%w", name, all[len(all)-1]), "iotctl help faults")
}

// openTaps opens the log, the capture and the recording. noted says that there will
// be faults to tell of.
func (p *proxyTools) openTaps(noted bool) error {
	if p.show || noted && !p.quiet {
		if err := p.openLog(); err != nil {
			return err
		}
	}
	if p.capture != "" {
		out, err := p.create(p.capture)
		if err != nil {
			return err
		}
		c, err := trace.NewCapture(out, "iotctl "+readVersion().Version)
		if err != nil {
			return err
		}
		p.tap(proxy.TapConfig{Sink: c, Wait: true})
	}
	if p.record != "" {
		out, err := p.create(p.record)
		if err != nil {
			return err
		}
		w, err := record.NewWriter(out, "iotctl proxy", time.Now(), p.secrets)
		if err != nil {
			return err
		}
		p.tap(proxy.TapConfig{Sink: w, Wait: true})
		if !p.secrets {
			p.run.t.notef("%s will have no passwords; --secrets records them, too", p.record)
		}
	}
	return nil
}

// openLog opens the live log, to standard output, or what tells of faults only, to
// standard error.
func (p *proxyTools) openLog() error {
	t := p.run.t
	cfg := trace.LogConfig{Out: t.err, Quiet: !p.show, JSON: p.json, Lines: p.lines}
	cfg.Style = display.Style{Color: t.colorErr, Secrets: p.secrets}
	if p.show {
		cfg.Out, cfg.Style.Color = t.out, t.colorOut
	}
	if p.filter != "" {
		e, err := selector.Parse(p.filter)
		if err != nil {
			return selectorFailure("--filter", err)
		}
		if n := fault.UnknownType(e); n != "" {
			return fail(exitUsage, fmt.Errorf("--filter: no packet of MQTT is called %q", n), "iotctl help faults")
		}
		cfg.Filter = e
	}
	keep, err := followed(p.follow)
	if err != nil {
		return err
	}
	p.tap(proxy.TapConfig{Sink: trace.NewLog(cfg), Wait: p.wait, Notes: !p.show, Keep: keep})
	return nil
}

// selectorFailure is an error of an expression.
func selectorFailure(flag string, err error) error {
	var e *selector.Error
	if errors.As(err, &e) && e.Hint != "" {
		return fail(exitUsage, fmt.Errorf("%s %q: %w", flag, e.Text, err), e.Hint)
	}
	return fail(exitUsage, fmt.Errorf("%s: %w", flag, err))
}

// clientOnly is a connection of which the client is known.
type clientOnly struct{ values [1]selector.Value }

// Lookup implements selector.Subject.
func (c *clientOnly) Lookup(name string) []selector.Value {
	if name == "client" {
		return c.values[:]
	}
	return nil
}

// clientsLike is the expression of --follow about clients.
func clientsLike(pattern string) (*selector.Expr, error) {
	e, err := selector.Parse("client=" + strconv.Quote(pattern))
	if err == nil && strings.ContainsAny(pattern, "*?[") {
		e, err = selector.Parse("client=" + pattern)
	}
	if err != nil {
		return nil, selectorFailure("--follow", err)
	}
	return e, nil
}

// followed is which connections belong to a pattern of clients.
func followed(pattern string) (func(*proxy.Conn) bool, error) {
	if pattern == "" {
		return nil, nil //nolint:nilnil // all of them
	}
	e, err := clientsLike(pattern)
	if err != nil {
		return nil, err
	}
	return func(c *proxy.Conn) bool {
		return e.Match(&clientOnly{[1]selector.Value{selector.Text(c.ClientID)}})
	}, nil
}

// tap adds one, which is closed in the end.
func (p *proxyTools) tap(cfg proxy.TapConfig) {
	cfg.Logger = p.run.config.Logger
	t := proxy.NewTap(cfg)
	p.taps = append(p.taps, t)
	p.run.defers(t.Close)
}

// create opens a file to write, which is closed in the end. Only its owner may read
// it: it has messages in it.
func (p *proxyTools) create(name string) (io.Writer, error) {
	if name == "-" {
		return p.run.t.out, nil
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, fail(exitUsage, err)
	}
	p.run.defers(f.Close)
	return f, nil
}

// openFaults makes the set of rules, and has the steps of the scenario done.
func (p *proxyTools) openFaults(rules []*fault.Rule, sc *fault.Scenario) error {
	seed, err := p.chooseSeed(sc)
	if err != nil {
		return err
	}
	p.set = fault.NewSet(fault.Options{Seed: seed, Live: p.control != "" || sc != nil, Report: p.report})
	if _, err := p.set.Add(rules...); err != nil {
		return fail(exitUsage, err)
	}
	p.run.defers(func() error { p.set.Close(); p.running.Wait(); return nil })
	if sc != nil || p.control != "" || slices.ContainsFunc(rules, (*fault.Rule).Random) {
		p.run.t.notef("chances have the seed %d; --seed %d repeats them", seed, seed)
	}
	if sc == nil {
		return nil
	}
	p.run.starts(func(ctx context.Context, e *proxy.Engine) error {
		log := p.run.config.Logger
		p.running.Go(func() {
			err := p.set.Run(ctx, sc, e, func(text string) { log.Info("scenario", "step", text) })
			if err != nil && ctx.Err() == nil {
				log.Error("the scenario ends early", "err", err)
			}
		})
		return nil
	})
	return nil
}

// chooseSeed is that of the command line, of the scenario, or a new one.
func (p *proxyTools) chooseSeed(sc *fault.Scenario) (uint64, error) {
	switch {
	case p.seed != "":
		n, err := strconv.ParseUint(p.seed, 0, 64)
		if err != nil {
			return 0, usagef("--seed: %q is no number from 0 on", p.seed)
		}
		return n, nil
	case sc != nil && sc.HasSeed:
		return sc.Seed, nil
	}
	var b [4]byte
	_, _ = rand.Read(b[:]) // it never fails
	return uint64(binary.BigEndian.Uint32(b[:])), nil
}

// report tells all that write something down of a fault.
func (p *proxyTools) report(e fault.Event) {
	for _, t := range p.taps {
		t.Note(proxy.Seen{At: e.Time, Direction: e.Direction, Bytes: e.Raw, Rule: e.Rule, Text: e.String()}, e.Connection)
	}
}
