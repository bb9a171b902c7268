package cli

import (
	"testing"
	"testing/fstest"
)

func TestMemoryLimit(t *testing.T) {
	t.Parallel()
	const group = "proc/self/cgroup"
	for name, test := range map[string]struct {
		files map[string]string
		want  int64
	}{
		"no control groups": {nil, 0},
		"container":         {map[string]string{group: "0::/\n", "sys/fs/cgroup/memory.max": "536870912\n"}, 512 << 20},
		"no limit":          {map[string]string{group: "0::/\n", "sys/fs/cgroup/memory.max": "max\n"}, 0},
		"root group":        {map[string]string{group: "0::/\n"}, 0},
		"unit": {map[string]string{
			group:                           "0::/system.slice/persona.service\n",
			"sys/fs/cgroup/memory.max":      "104857600\n",
			"sys/fs/cgroup/else/memory.max": "2\n",
		}, 100 << 20},
		"the smallest of nested groups": {map[string]string{
			group:                               "0::/kubepods/burstable/pod1/c1\n",
			"sys/fs/cgroup/kubepods/memory.max": "8589934592\n",
			"sys/fs/cgroup/kubepods/burstable/memory.max":         "max\n",
			"sys/fs/cgroup/kubepods/burstable/pod1/memory.max":    "268435456\n",
			"sys/fs/cgroup/kubepods/burstable/pod1/c1/memory.max": "536870912\n",
		}, 256 << 20},
		"a path from outside":   {map[string]string{group: "0::/docker/0123\n", "sys/fs/cgroup/memory.max": "104857600\n"}, 100 << 20},
		"a path above the root": {map[string]string{group: "0::/../../x\n", "sys/fs/cgroup/memory.max": "104857600\n"}, 100 << 20},
		"slowed before it is ended": {map[string]string{
			group:                                 "0::/a.service\n",
			"sys/fs/cgroup/a.service/memory.max":  "536870912\n",
			"sys/fs/cgroup/a.service/memory.high": "402653184\n",
		}, 384 << 20},
		"version 1": {map[string]string{
			group: "12:cpu,cpuacct:/docker/0123\n5:memory:/docker/0123\n1:name=systemd:/docker/0123\n0::/docker/0123\n",
			"sys/fs/cgroup/memory/docker/0123/memory.limit_in_bytes": "209715200\n",
			"sys/fs/cgroup/memory/memory.limit_in_bytes":             "9223372036854771712\n",
		}, 200 << 20},
		"version 1 without a limit": {map[string]string{
			group: "5:memory:/\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
		}, 0},
		"version 1, memory beside others": {map[string]string{
			group: "5:hugetlb,memory:/x\n", "sys/fs/cgroup/memory/x/memory.limit_in_bytes": "209715200\n",
		}, 200 << 20},
		"nonsense": {map[string]string{group: "0::/\nx\n\n::\n", "sys/fs/cgroup/memory.max": "-1 lots\n"}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			root := fstest.MapFS{}
			for path, text := range test.files {
				root[path] = &fstest.MapFile{Data: []byte(text)}
			}
			if got := memoryLimit(root); got != test.want {
				t.Errorf("%d bytes, want %d", got, test.want)
			}
		})
	}
}
