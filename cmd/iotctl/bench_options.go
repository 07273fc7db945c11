package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/iotctl/iotctl/internal/bench"
)

// The options of bench are those of pub and sub that say where and as whom to
// connect, and those that emqtt_bench has for load, in its spelling. Where the
// two use the same letter for different things, emqtt_bench has it.

const (
	groupLoad     = "Load"
	groupSchedule = "Schedule"
	groupResult   = "Result"
	groupAgents   = "Several machines"
)

var benchGroups = []string{groupLoad, groupSchedule, groupResult, groupAgents, groupConnection, groupSession, groupTLS, groupGeneral}

// benchShared are the options that pub and sub have, too, with the letters that
// they have here.
var benchShared = []struct{ long, letter string }{
	{"host", "h"},
	{"port", "p"},
	{"unix", ""},
	{"ws", ""},
	{"ws-path", ""},
	{"ws-header", ""},
	{"bind", ""},
	{"srv", ""},
	{"proxy", ""},
	{"protocol-version", "V"},
	{"username", "u"},
	{"pw", "P"},
	{"password-file", ""},
	{"ask-password", ""},
	{"password-command", ""},
	{"password-keyring", ""},
	{"profile", ""},
	{"tls", "S"},
	{"cafile", ""},
	{"capath", ""},
	{"no-tls", ""},
	{"cert", ""},
	{"key", ""},
	{"ciphers", ""},
	{"tls-version", ""},
	{"tls-alpn", ""},
	{"tls-server-name", ""},
	{"insecure", ""},
	{"tls-keylog", ""},
}

// benchAliases are emqtt_bench's names of options that have another one here.
var benchAliases = map[string]string{
	"ssl": "tls", "cacertfile": "cafile", "certfile": "cert", "keyfile": "key", "ifaddr": "bind",
	"version": "protocol-version", "password": "pw",
}

// benchOptions is the command line of `iotctl bench`.
type benchOptions struct {
	given []assignment
	plan  bench.Plan

	interval, connInterval            int // milliseconds
	window, keepAlive                 int
	clean                             string
	prefix                            string
	payloadHeaders                    string
	identities, record                string
	asserts, steps, options           []string
	serve, findMax, quiet             bool
	outputs                           benchOutputs
	warmup, duration, drain, sampling time.Duration
	agents                            []string
	via                               string
	devices, codec                    string
}

func (o *benchOptions) register(cmd *cobra.Command) {
	f := cmd.Flags()
	f.SortFlags = false
	f.SetNormalizeFunc(benchName)
	in := func(group string, names ...string) {
		for _, n := range names {
			_ = f.SetAnnotation(n, "group", []string{group})
		}
	}
	f.Bool("help", false, "show this help") // -h is --host
	p := &o.plan
	f.IntVarP(&p.Clients, "count", "c", 0, "how many `clients`; of pairs, pairs")
	f.IntVar(&p.Publishers, "publishers", 0, "how many publishers, where a scenario has both")
	f.IntVar(&p.Subscribers, "subscribers", 0, "how many subscribers")
	f.StringVarP(&p.Topic, "topic", "t", "", "topic `template`: %i is the number of the client, %c its identifier, %u its user name")
	f.IntVar(&p.Topics, "topics", 0, "topics per publisher, as levels below -t (default 1)")
	p.QoS, p.SubQoS = -1, -1
	f.VarP((*qosValue)(&p.QoS), "qos", "q", "`QoS` of messages and subscriptions (default 0, or as the scenario has it)")
	f.Var((*qosValue)(&p.SubQoS), "sub-qos", "`QoS` of subscriptions, if it is another one")
	f.BoolVarP(&p.Retain, "retain", "r", false, "messages are retained")
	f.IntVarP(&p.Size, "size", "s", 0, "payload `bytes`, at least 16 (default 64)")
	f.StringVar(&o.payloadHeaders, "payload-hdrs", "", "understood for emqtt_bench's sake: payloads always carry time and number")
	f.Int64VarP(&p.Messages, "limit", "L", 0, "publish so many `messages` in all, then end")
	f.IntVarP(&o.window, "inflight", "F", 0, "how many `messages` a client may have on their way (default 100, at QoS 2 20)")
	f.StringVar(&o.devices, "devices", "", "`url` that devices connect to, where a scenario has some: emqtcp://HOST:PORT, mqttsn://HOST:PORT (default: the broker's host)")
	f.StringVar(&o.codec, "codec", "", "`name` of what devices speak, as iotctl codec list has it, or a file (default gt06)")
	f.StringArrayVarP(&o.options, "set", "", nil, "`name=number` of a scenario's own option; repeatable")
	in(groupLoad, "count", "publishers", "subscribers", "topic", "topics", "qos", "sub-qos", "retain", "size", "payload-hdrs", "limit", "inflight", "devices", "codec", "set")

	f.Float64Var(&p.Rate, "rate", 0, "messages or operations per second, all clients together")
	f.IntVarP(&o.interval, "interval_of_msg", "I", 0, "`ms` between two messages of a client")
	f.BoolVar(&p.ClosedLoop, "closed", false, "no schedule: send as soon as the window (-F) allows")
	f.StringArrayVar(&o.steps, "step", nil, "a part of the schedule, `rate:time` or rate-rate:time, as in 1000:10s or 0-5000:1m; repeatable")
	f.DurationVar(&o.duration, "duration", 0, "measure for this `time` (default 10s)")
	f.DurationVar(&o.warmup, "warmup", 0, "run for this `time` before measuring")
	f.DurationVar(&o.drain, "drain", 0, "wait at most this `time` for what is on its way (default 10s)")
	f.Float64VarP(&p.ConnRate, "connrate", "R", 0, "connections per second (default: as fast as 64 at a time are answered)")
	f.IntVarP(&o.connInterval, "interval", "i", 0, "`ms` between two connections")
	f.BoolP("wait-before-publishing", "w", false, "understood for emqtt_bench's sake: nothing is published before all have tried to connect")
	f.BoolP("lowmem", "l", false, "understood for emqtt_bench's sake")
	f.DurationVar(&p.Tick, "tick", 0, "publish in batches of this `time` (default: by rate)")
	in(groupSchedule, "rate", "interval_of_msg", "closed", "step", "duration", "warmup", "drain", "connrate", "interval", "wait-before-publishing", "lowmem", "tick")

	f.BoolVar(&o.serve, "serve", false, "start a broker in this process and load that")
	f.StringArrayVar(&o.asserts, "assert", nil, "end with code 99 unless this `condition` holds: e2e.p99<50ms, loss==0, rate>=1000; repeatable")
	f.BoolVar(&o.findMax, "find-max", false, "search the highest rate that meets the conditions, beginning at --rate")
	f.StringVarP(&o.record, "out", "o", "", "record the run in this `file`")
	f.StringVar(&o.outputs.junit, "junit", "", "write the conditions to this `file` as JUnit's XML")
	f.StringVar(&o.outputs.prometheus, "prometheus", "", "keep a `file` in Prometheus' text format up to date")
	f.StringVar(&o.outputs.listen, "prometheus-listen", "", "answer Prometheus at this `address` while the run goes on; a port alone is one of 127.0.0.1")
	f.IntVar(&p.WatchPID, "watch-pid", 0, "report CPU and memory of this `process`, the broker")
	f.DurationVar(&o.sampling, "sample", 0, "a record and a line per this `time` (default 1s)")
	f.BoolVar(&o.quiet, "quiet", false, "show nothing while it runs")
	in(groupResult, "serve", "assert", "find-max", "out", "junit", "prometheus", "prometheus-listen", "watch-pid", "sample", "quiet")

	f.StringSliceVar(&o.agents, "agents", nil, "`names` of bench agents that carry the load together, with commas between")
	f.StringVar(&o.via, "via", "", "talk to the agents through the broker at this `URL` (default: the one under test)")
	in(groupAgents, "agents", "via")

	f.StringVar(&p.ClientID, "id", "", "client identifier `template` with %i and %u")
	f.StringVar(&o.prefix, "prefix", "", "client identifiers begin with this")
	f.IntVarP(&p.StartNumber, "startnumber", "n", 0, "`number` of the first client")
	f.StringVar(&o.identities, "identities", "", "CSV or JSON `file` with client_id, username, password, cert and key per client")
	f.IntVarP(&o.keepAlive, "keepalive", "k", 300, "keep alive interval in `seconds`, 0 is off")
	f.StringVarP(&o.clean, "clean", "C", "true", "`true or false`: clean sessions")
	f.Uint32VarP(&p.Expiry, "session-expiry", "x", 0, "session expiry interval in `seconds`, MQTT 5.0")
	in(groupSession, "id", "prefix", "startnumber", "identities", "keepalive", "clean", "session-expiry")

	registerShared(f, &o.given)
}

// qosValue is a QoS; -1 is for what is not given.
type qosValue int

func (*qosValue) String() string { return "" }

func (*qosValue) Type() string { return "QoS" }

func (q *qosValue) Set(v string) error {
	switch v {
	case "0", "1", "2":
		*q = qosValue(v[0] - '0')
		return nil
	case "-1":
		return errors.New("must be 0, 1 or 2; for QoS -1 there is --set mqttsn-pub.minus_one=1")
	}
	return errors.New("must be 0, 1 or 2")
}

// registerShared adds the options of benchShared.
func registerShared(f *pflag.FlagSet, given *[]assignment) {
	all := optionsFor(progPub, false)
	for _, s := range benchShared {
		opt := findOption(all, "--"+s.long)
		v := f.VarPF(&flagValue{opt, given}, opt.long, s.letter, opt.help)
		if opt.arg == "" {
			v.NoOptDefVal = "true"
		}
	}
}

// benchSettings are connection options, those of the profile and the environment
// below those of the command line.
func benchSettings(given []assignment, url string) (*settings, error) {
	all := optionsFor(progPub, false)
	s := newSettings(progPub, false)
	if url != "" {
		if !strings.Contains(url, "://") {
			url = "mqtt://" + url
		}
		given = append([]assignment{{option: findOption(all, "--url"), value: url}}, given...)
	}
	shared := slices.DeleteFunc(all, func(o *option) bool {
		return o.long != "url" && !slices.ContainsFunc(benchShared, func(b struct{ long, letter string }) bool { return b.long == o.long })
	})
	variables, err := environmentOptions(shared)
	if err != nil {
		return nil, fail(exitUsage, err)
	}
	chosen := chooseProfile(given, variables, false)
	sources, err := profileSources(progPub, shared, chosen)
	if err != nil {
		return nil, err
	}
	if chosen.yields && slices.ContainsFunc(sources, namesBroker) {
		sources = nil
	}
	for _, a := range overlay(append(sources, variables, given)...) {
		if err := s.apply(a); err != nil {
			return nil, fail(exitUsage, err)
		}
	}
	s.forgetPSK(nil)
	if s.device != nil {
		return nil, fail(exitUsage, fmt.Errorf("%s:// is no URL of an MQTT broker", s.scheme), "where devices connect to is said by --devices")
	}
	if err := s.check(); err != nil {
		return nil, failUsage(err)
	}
	return s, nil
}

// complete turns what flags have no type for into the plan.
func (o *benchOptions) complete() error {
	p := &o.plan
	clean, err := strconv.ParseBool(o.clean)
	if err != nil {
		return usagef("--clean %q: must be true or false", o.clean)
	}
	p.Window, p.Persistent = o.window, !clean
	p.Warmup, p.Duration, p.Drain, p.Sampling = o.warmup, o.duration, o.drain, o.sampling
	p.Interval = time.Duration(o.interval) * time.Millisecond
	if p.KeepAlive = o.keepAlive; o.keepAlive == 0 {
		p.KeepAlive = -1
	}
	if p.ConnRate == 0 && o.connInterval > 0 {
		p.ConnRate = 1000 / float64(o.connInterval)
	}
	if o.prefix != "" && p.ClientID == "" {
		p.ClientID = strings.ReplaceAll(o.prefix, "%", "%%") + "%i"
	}
	for _, text := range o.steps {
		s, err := parseStep(text)
		if err != nil {
			return usagef("--step: %w", err)
		}
		p.Steps = append(p.Steps, s)
	}
	for _, text := range o.options {
		name, value, _ := strings.Cut(text, "=")
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			return usagef("--set %q: must be name=number", text)
		}
		if p.Options == nil {
			p.Options = map[string]float64{}
		}
		p.Options[name] = n
	}
	for name := range strings.SplitSeq(o.payloadHeaders, ",") {
		if name != "" && name != "cnt64" && name != "ts" {
			return usagef("--payload-hdrs %q: must be cnt64, ts or both, with a comma between", name)
		}
	}
	if o.findMax && o.record != "" {
		return usagef("-o records one run, and --find-max makes many")
	}
	if p.WatchPID > 0 {
		if err := bench.CheckPID(p.WatchPID); err != nil {
			return usagef("--watch-pid: %w", err)
		}
	}
	if o.findMax && o.outputs != (benchOutputs{}) {
		return usagef("--find-max is many runs; --junit, --prometheus and --prometheus-listen are for one")
	}
	if err := p.Validate(); err != nil {
		return fail(exitUsage, err, "iotctl bench --help")
	}
	return nil
}

// parseStep reads 1000:10s and 0-5000:1m.
func parseStep(text string) (s bench.Step, err error) {
	rates, long, ok := strings.Cut(text, ":")
	if !ok {
		return s, fmt.Errorf("%q: must be rate:time or rate-rate:time, as in 1000:10s", text)
	}
	if s.Duration, err = time.ParseDuration(long); err != nil {
		return s, fmt.Errorf("%q: %q is no duration like 10s", text, long)
	}
	from, to, ramp := strings.Cut(rates, "-")
	if !ramp {
		to = from
	}
	var errs [2]error
	s.From, errs[0] = strconv.ParseFloat(from, 64)
	s.To, errs[1] = strconv.ParseFloat(to, 64)
	if errors.Join(errs[:]...) != nil {
		return s, fmt.Errorf("%q: %q is no rate", text, rates)
	}
	return s, nil
}

// benchUsage lists the options by group.
func benchUsage(cmd *cobra.Command) error {
	var b strings.Builder
	fmt.Fprintf(&b, "Usage:\n  %s\n", cmd.UseLine())
	for _, sub := range cmd.Commands() {
		fmt.Fprintf(&b, "  %s\n", sub.UseLine())
	}
	fmt.Fprintf(&b, "\nExamples:\n%s\n", cmd.Example)
	for _, group := range benchGroups {
		set := pflag.NewFlagSet(group, pflag.ContinueOnError)
		set.SortFlags = false
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if g := groupOf(f); g == group || g == "" && group == groupGeneral {
				set.AddFlag(f)
			}
		})
		if set.HasFlags() {
			fmt.Fprintf(&b, "\n%s:\n%s", group, set.FlagUsagesWrapped(helpWidth))
		}
	}
	_, err := fmt.Fprint(cmd.OutOrStderr(), b.String())
	return err
}
