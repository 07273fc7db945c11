package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/iotctl/iotctl/internal/bench"
	"github.com/iotctl/iotctl/internal/bench/agents"
	"github.com/iotctl/iotctl/internal/client"
	"github.com/iotctl/iotctl/internal/serve"
	"github.com/iotctl/iotctl/internal/transport"
)

// agentOptions is the command line of `iotctl bench agent`.
type agentOptions struct {
	given       []assignment
	name        string
	allow       []string
	maxClients  int
	maxDuration time.Duration
	identities  string
}

func newBenchAgent() *cobra.Command {
	var o agentOptions
	cmd := &cobra.Command{
		Use:   "agent [url] [options]",
		Short: "Carry a share of a load that several machines bring",
		Long: `Connects to a broker, waits there for orders of iotctl bench --agents, and
carries its share of the loads that they ask for, until it is ended.

It loads the broker that it is connected to, with its own login, and no other
one unless --allow says so. In a pattern a star stands for any part of one label
of the host, or alone for any host or any port: mqtt://10.0.0.*:1883. Other
brokers get no login but those of --identities.

Whoever may publish to iotctl-bench/agent/NAME gives the orders: where others
use the broker, its access rules should say who that is. An agent subscribes to
that topic and publishes to iotctl-bench/run/#; whoever leads does the reverse.`,
		Example: `  iotctl bench agent mqtt://broker.example --name a
  iotctl bench agent mqtt://control.example -u agents --password-file secret --allow 'mqtt://10.0.0.*:1883'
  iotctl bench pair mqtt://broker.example --agents a,b --rate 20000`,
		DisableFlagsInUseLine: true,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runAgent(cmd.Context(), newTerminal(cmd), &o, args)
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.SetNormalizeFunc(benchName)
	f.Bool("help", false, "show this help") // -h is --host
	host, _ := os.Hostname()
	f.StringVar(&o.name, "name", "", "`name` by which the agent is called (default: this machine's)")
	f.StringArrayVar(&o.allow, "allow", nil, "another `URL-pattern` that may be loaded; repeatable")
	f.IntVar(&o.maxClients, "max-clients", 20_000, "refuse more `clients` than this")
	f.DurationVar(&o.maxDuration, "max-duration", time.Hour, "refuse runs that are longer than this `time`")
	f.StringVar(&o.identities, "identities", "", "CSV or JSON `file` with client_id, username, password, cert and key per client")
	for _, n := range []string{"name", "allow", "max-clients", "max-duration", "identities"} {
		_ = f.SetAnnotation(n, "group", []string{groupAgents})
	}
	registerShared(f, &o.given)
	cmd.PreRun = func(*cobra.Command, []string) {
		if o.name == "" {
			o.name = host
		}
	}
	cmd.SetUsageFunc(benchUsage)
	return cmd
}

// benchName stands in our own names of options for emqtt_bench's.
func benchName(_ *pflag.FlagSet, name string) pflag.NormalizedName {
	if own := benchAliases[name]; own != "" {
		name = own
	}
	return pflag.NormalizedName(name)
}

func runAgent(ctx context.Context, t *terminal, o *agentOptions, args []string) error {
	url := ""
	switch len(args) {
	case 0:
	case 1:
		url = args[0]
	default:
		return usagef("unexpected argument %q", args[1])
	}
	if err := agents.CheckName(o.name); err != nil {
		return fail(exitUsage, err, "iotctl bench agent --name NAME")
	}
	s, err := benchSettings(o.given, url)
	if err != nil {
		return err
	}
	if err := s.loadPassword(t); err != nil {
		return err
	}
	a := &agents.Agent{
		Name: o.name, Specs: scenarios(), MaxClients: o.maxClients, MaxDuration: o.maxDuration,
		Logger: serve.NewLogger(t.err, serve.Text, slog.LevelInfo),
	}
	own := s.endpoint()
	for _, text := range append([]string{own.String()}, o.allow...) {
		p, err := agents.ParsePattern(text)
		if err != nil {
			return usagef("--allow: %w", err)
		}
		a.Allow = append(a.Allow, p)
	}
	identities, err := readIdentities(o.identities)
	if err != nil {
		return err
	}
	dial, err := s.dialConfig()
	if err != nil {
		return err
	}
	a.Options = func(e transport.Endpoint) (bench.Options, error) {
		load := bench.Options{Dial: dial, Identities: identities, Properties: s.properties["connect"], Tool: "iotctl " + readVersion().Version}
		if e.String() == own.String() { // nobody else gets the login
			load.Username = s.username
			if s.password != nil {
				load.Password = []byte(*s.password)
			}
		}
		return load, nil
	}
	if a.Client, err = s.clientOptions(); err != nil {
		return err
	}
	a.Client.OnState = func(st client.State) {
		if st.Kind == client.StateLost {
			t.warnf("%s: %v", s.brokerName(), st.Err)
		}
	}
	ctx, stop := runContext(ctx, s, catchAtOnce)
	defer stop()
	if err := a.Serve(ctx); err != nil && ctx.Err() == nil {
		return s.failConnect(err)
	}
	if ctx.Err() != nil {
		return failCause(ctx)
	}
	return nil
}

// readIdentities reads the file of --identities, if there is one.
func readIdentities(name string) ([]bench.Identity, error) {
	if name == "" {
		return nil, nil
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, fail(exitUsage, err)
	}
	defer f.Close()
	all, err := bench.ReadIdentities(f)
	if err != nil {
		return nil, usagef("--identities %s: %w", name, err)
	}
	return all, nil
}

// checkAgents tells what does not go together with --agents.
func (r *benchRun) checkAgents(target transport.Endpoint) error {
	switch {
	case r.o.serve:
		return usagef("--agents cannot reach the broker of --serve: start one with iotctl serve")
	case r.o.findMax:
		return usagef("--find-max searches with this machine alone, without --agents")
	case r.o.identities != "":
		return usagef("--identities are each agent's own: iotctl bench agent --identities")
	case target.RawQuery != "":
		return usagef("the query of the URL may hold a secret, which is not sent to agents")
	}
	for _, name := range r.o.agents {
		if err := agents.CheckName(name); err != nil {
			return usagef("--agents: %w", err)
		}
	}
	if _, err := bench.Divide(r.opts.Spec, r.opts.Plan, len(r.o.agents), 1); err != nil {
		return usagef("--agents: %w", err)
	}
	return nil
}

// viaSettings are those of the broker between this machine and the agents.
func (r *benchRun) viaSettings() (*settings, error) {
	if r.o.via == "" {
		return r.s, nil
	}
	// The rest, such as the login, holds for both brokers.
	given := slices.DeleteFunc(slices.Clone(r.o.given), func(a assignment) bool {
		return slices.Contains([]string{"host", "port", "url", "unix", "ws-path"}, a.option.long)
	})
	s, err := benchSettings(given, r.o.via)
	if err != nil {
		return nil, err
	}
	return s, s.loadPassword(r.t)
}

func (r *benchRun) viaURL() string {
	s, err := r.viaSettings()
	if err != nil {
		return r.o.via
	}
	return s.endpoint().String()
}

// lead runs a load here, or lets the agents carry it.
func (r *benchRun) lead(ctx context.Context, o bench.Options) (*bench.Final, error) {
	if len(r.o.agents) == 0 {
		return bench.Run(ctx, o)
	}
	s, err := r.viaSettings()
	if err != nil {
		return nil, err
	}
	c, err := s.clientOptions()
	if err != nil {
		return nil, err
	}
	f, err := agents.Lead(ctx, agents.Order{Agents: r.o.agents, Client: c, Target: o.Endpoint, Run: o})
	if err != nil && f == nil && ctx.Err() != nil {
		return nil, failCause(ctx)
	}
	if err != nil && f == nil && !errors.Is(err, agents.ErrAgents) && !errors.As(err, new(*agents.Absent)) {
		return nil, s.failConnect(fmt.Errorf("agents %s: %w", strings.Join(r.o.agents, ", "), err))
	}
	return f, err
}
