package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// sample is one contender under one kind of load.
type sample struct {
	rate     float64       // requests a second
	cpu      time.Duration // for each request
	p50, p99 time.Duration
}

// samples holds the samples of all rounds, by row and contender.
type samples map[string]map[string][]sample

// measure takes the rows one after another, and in each round all contenders by turns.
func (w *world) measure(ctx context.Context, rows []*row, rounds int, length time.Duration) (samples, error) {
	upload := strings.Repeat("x", uploadSize)
	if err := errors.Join(
		os.WriteFile(filepath.Join(w.folder, "upload"), []byte(upload), 0o600),
		os.WriteFile(filepath.Join(w.folder, "upload.lua"), []byte(`wrk.method = "POST"; wrk.body = string.rep("x", 1048576)`), 0o600),
	); err != nil {
		return nil, err
	}
	all := samples{}
	for _, r := range rows {
		all[r.name] = map[string][]sample{}
		for round := range rounds {
			for _, c := range w.contenders {
				fmt.Fprintf(os.Stderr, "\r%-12s round %d of %d, %-14s", r.name, round+1, rounds, c.name)
				before, err := processorTime(c.process.Process.Pid)
				if err != nil {
					return nil, err
				}
				l, err := r.run(ctx, r, w.folder, c.address, length)
				if err != nil {
					return nil, fmt.Errorf("%s, %s: %w", r.name, c.name, err)
				}
				after, err := processorTime(c.process.Process.Pid)
				if err != nil {
					return nil, err
				}
				all[r.name][c.name] = append(all[r.name][c.name], sample{
					rate: float64(l.requests) / l.took.Seconds(), cpu: (after - before) / time.Duration(l.requests), p50: l.p50, p99: l.p99,
				})
			}
		}
	}
	fmt.Fprintln(os.Stderr)
	return all, nil
}

// middle is the median of each figure.
func middle(of []sample) sample {
	return sample{
		rate: median(of, func(s sample) float64 { return s.rate }),
		cpu:  time.Duration(median(of, func(s sample) float64 { return float64(s.cpu) })),
		p50:  time.Duration(median(of, func(s sample) float64 { return float64(s.p50) })),
		p99:  time.Duration(median(of, func(s sample) float64 { return float64(s.p99) })),
	}
}

func median(of []sample, figure func(sample) float64) float64 {
	figures := make([]float64, len(of))
	for i, s := range of {
		figures[i] = figure(s)
	}
	slices.SortFunc(figures, cmp.Compare)
	return figures[len(figures)/2]
}

// printRatios prints each figure as a ratio to the first contender's, whose own are absolute.
func printRatios(to io.Writer, contenders []*contender, all samples) {
	head := "| row | " + contenders[0].name
	for _, c := range contenders[1:] {
		head += " | " + c.name
	}
	fmt.Fprintf(to, "Rate / CPU for each request, as ratios to %s (of which: requests a second, µs).\n\n%s |\n|%s\n", contenders[0].name, head, strings.Repeat("---|", len(contenders)+1))
	product := make([]sample, len(contenders))
	for i := range product {
		product[i] = sample{rate: 1}
	}
	cpu := make([]float64, len(contenders))
	counted := 0
	for _, r := range rows() {
		if all[r.name] == nil {
			continue
		}
		counted++
		base := middle(all[r.name][contenders[0].name])
		line := fmt.Sprintf("| %s | %.0f / %.1f", r.name, base.rate, float64(base.cpu)/1e3)
		for i, c := range contenders[1:] {
			s := middle(all[r.name][c.name])
			rate, time := s.rate/base.rate, float64(s.cpu)/float64(base.cpu)
			product[i+1].rate *= rate
			cpu[i+1] += math.Log(time)
			line += fmt.Sprintf(" | %.2f / %.2f", rate, time)
		}
		fmt.Fprintln(to, line+" |")
	}
	line := "| geometric mean | 1 / 1"
	for i := range contenders[1:] {
		n := float64(counted)
		line += fmt.Sprintf(" | %.2f / %.2f", math.Pow(product[i+1].rate, 1/n), math.Exp(cpu[i+1]/n))
	}
	fmt.Fprintf(to, "%s |\n\nLatency p50 / p99 in ms.\n\n%s |\n|%s\n", line, head, strings.Repeat("---|", len(contenders)+1))
	for _, r := range rows() {
		if all[r.name] == nil {
			continue
		}
		line := "| " + r.name
		for _, c := range contenders {
			s := middle(all[r.name][c.name])
			line += fmt.Sprintf(" | %.1f / %.0f", float64(s.p50)/1e6, float64(s.p99)/1e6)
		}
		fmt.Fprintln(to, line+" |")
	}
}

// measureIdle opens connections to each contender, makes a request on each, leaves
// them idle, and prints what they cost in memory.
func (w *world) measureIdle(ctx context.Context, to io.Writer, count int) error {
	fmt.Fprintf(to, "Resident memory in MiB: at start, with %d idle HTTP/1.1 connections over TLS (KiB a connection).\n\n| | at start | idle | KiB a connection |\n|---|---|---|---|\n", count)
	for _, c := range w.contenders {
		idle := make([]net.Conn, 0, count)
		for i := range count {
			// From many addresses: some contenders limit the connections of one.
			from := &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%250))}
			conn, err := dial(ctx, c.address, nil, from)
			if err == nil {
				err = get(conn, c.address, "/1k", "keep-alive")
			}
			if err != nil {
				return fmt.Errorf("connection %d to %s: %w", i, c.name, err)
			}
			idle = append(idle, conn)
		}
		after, err := residentMemory(c.process.Process.Pid)
		if err != nil {
			return err
		}
		for _, conn := range idle[:100] { // they still serve
			if err := get(conn, c.address, "/1k", "keep-alive"); err != nil {
				return fmt.Errorf("an idle connection to %s: %w", c.name, err)
			}
		}
		for _, conn := range idle {
			_ = conn.Close()
		}
		fmt.Fprintf(to, "| %s | %.0f | %.0f | %.1f |\n", c.name, mib(c.fresh), mib(after), float64(after-c.fresh)/1024/float64(count))
	}
	fmt.Fprintln(to)
	return nil
}

func mib(bytes int) float64 { return float64(bytes) / (1 << 20) }
