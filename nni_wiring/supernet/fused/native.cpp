// The passes of a fused cell, for one width of channels and one type of number.
// Compiled by native_library.py with -DCHANNELS=.. -DNUMBER=..; native.py says what a cell is.
#include "branches.hpp"
#include "convolutions.hpp"

#include <cstring>

// --- a cell, as native.py spells it ---

// target, place in z, number of its first parameter (-1: none)
struct Branch {
    Int target, z, slot;
};

// The convolutions of one kernel size that leave a node. y .. of_r: places in what is kept; of_weights
// .. of_shift: in the gradients of parameters.
struct Group {
    Int kernel, affine, y, mean, variance, inverse, cov, of_r, of_weights, of_scale, of_shift;
    double eps;
    std::vector<Branch> branches;
    Int count() const { return branches.size(); }
    Int width() const { return branches.size() * C; }
};

// A node with all that leaves it. state: its place in what is kept; pooled: a pool leads to it.
struct Leaving {
    Int node, state, pooled;
    std::vector<Group> groups;
    std::vector<Branch> skips, pools;
};

struct Plan {
    Int inputs, nodes;
    std::vector<Leaving> sources;

    explicit Plan(const Int* words) : word(words) {
        inputs = next(), nodes = next();
        sources.resize(nodes);
        for (Leaving& source : sources) {
            source.node = next(), source.state = next(), source.pooled = next();
            source.groups.resize(next());
            for (Group& group : source.groups) {
                for (Int* value : {&group.kernel, &group.affine, &group.y, &group.mean,
                                   &group.variance, &group.inverse, &group.cov, &group.of_r,
                                   &group.of_weights, &group.of_scale, &group.of_shift})
                    *value = next();
                std::memcpy(&group.eps, word++, sizeof(double));
                read(group.branches);
            }
            read(source.skips);
            read(source.pools);
        }
    }

private:
    const Int* word;
    Int next() { return *word++; }
    void read(std::vector<Branch>& branches) {
        branches.resize(next());
        for (Branch& branch : branches) branch = {word[0], word[1], word[2]}, word += 3;
    }
};

// What both passes are given. inputs: (n h w, C) of every input node; scratch: room for matrices.
struct Given {
    const Int* plan;
    const T *z, *const *inputs, *const *parameters, *counts;
    Int n, h, w;
    T *kept, *scratch;
};

struct Pass {
    const Plan plan;
    const Given& given;
    const Int rows;
    T* free;

    explicit Pass(const Given& g) : plan(g.plan), given(g), rows(g.n * g.h * g.w), free(g.scratch) {}

    T* take(Int count) {
        T* found = free;
        free += count;
        return found;
    }
    // Parameter number ``slot + which`` of all branches, one after the other.
    T* gathered(const Group& group, Int which, Int size) {
        T* found = take(group.count() * size);
        for (Int b = 0; b < group.count(); ++b)
            std::memcpy(found + b * size, given.parameters[group.branches[b].slot + which],
                        size * sizeof(T));
        return found;
    }
    T* weights_of(const Group& group) { return gathered(group, 0, C * C * group.kernel * group.kernel); }
    const T* state(const Leaving& source) const {
        return source.node < plan.inputs ? given.inputs[source.node] : given.kept + source.state;
    }
};

// --- forward ---

struct Forward : Pass {
    std::vector<std::vector<Term>> terms;

    explicit Forward(const Given& g) : Pass(g), terms(plan.nodes) {}

    void run() {
        for (const Leaving& source : plan.sources) {
            if (source.node >= plan.inputs) {
                auto& own = terms[source.node];
                node(own.size(), own.data(), given.z, given.n, given.h, given.w, given.counts,
                     given.kept + source.state);
            }
            const T* x = state(source);
            if (!source.groups.empty()) convolutions(source, x);
            for (const Branch& skip : source.skips)
                terms[skip.target].push_back({SKIP, x, C, 0, 0, 0, 0, 0, skip.z});
            for (const Branch& pool : source.pools)
                terms[pool.target].push_back({POOL, x, C, 0, 0, 0, 0, 0, pool.z});
        }
    }

private:
    void convolutions(const Leaving& source, const T* x) {
        T *r = take(rows * C), *kept = given.kept, *of_r = nullptr, *cov = nullptr;
        for (const Group& group : source.groups)
            if (group.kernel == 1) of_r = kept + group.of_r, cov = kept + group.cov;
        rectified(x, rows, r, of_r, cov);
        for (const Group& group : source.groups) {
            bool points = group.kernel == 1;
            T *mean = kept + group.mean, *variance = kept + group.variance;
            T *inverse = kept + group.inverse, *y = kept + group.y, *weights = weights_of(group);
            if (points)
                pointwise_moments(weights, group.width(), of_r, cov, group.eps, mean, variance,
                                  inverse);
            else {
                convolution(r, given.n, given.h, given.w, weights, group.width(), y);
                moments(y, rows, group.width(), group.eps, mean, variance, inverse);
            }
            T* scale = group.affine ? gathered(group, 1, C) : nullptr;
            T* shift = group.affine ? gathered(group, 2, C) : nullptr;
            for (Int b = 0; b < group.count(); ++b) {
                Int o = b * C;
                terms[group.branches[b].target].push_back(
                    {points ? POINTWISE : STACKED, points ? r : y + o, points ? C : group.width(),
                     mean + o, inverse + o, scale ? scale + o : nullptr,
                     shift ? shift + o : nullptr, points ? weights + o * C : nullptr,
                     group.branches[b].z});
            }
        }
    }
};

// --- backward ---

// The gradient of a node, its sum per channel, and the adjoint of pooling applied to it.
struct NodeGradient {
    const T* value;
    double sum[C];
    T* adjoint;
};

struct Backward : Pass {
    const T* const* own;  // of the nodes as outputs; null: it is none
    T* const* of_inputs;  // null: not wanted
    T *of_z, *of_parameters;  // of_parameters null: not wanted
    std::vector<NodeGradient> found;

    Backward(const Given& g, const T* const* outputs, T* z, T* const* in, T* parameters)
        : Pass(g), own(outputs), of_inputs(in), of_z(z), of_parameters(parameters),
          found(plan.nodes) {}

    void run() {
        for (Int k = plan.nodes - 1; k >= 0; --k) {
            const Leaving& source = plan.sources[k];
            bool inside = source.node >= plan.inputs;
            bool last = source.groups.empty() && source.skips.empty() && source.pools.empty();
            T* out = last ? nullptr : inside ? take(rows * C) : of_inputs[source.node];
            T* adjoint = source.pooled ? take(rows * C) : nullptr;
            T* mark = free;
            if (!last) leaving(source, out);
            free = mark;
            if (!inside) continue;
            NodeGradient& gradient = found[source.node];
            gradient.value = last ? own[source.node] : out;
            gradient.adjoint = adjoint;
            node_gradient(gradient.value, given.n, given.h, given.w, given.counts, gradient.sum,
                          adjoint);
        }
    }

private:
    void leaving(const Leaving& source, T* out) {
        const T* x = state(source);
        Sum sum = {};
        sum.x = x, sum.own = own[source.node];
        T* r = source.groups.empty() ? nullptr : take(rows * C);
        if (r) rectified(x, rows, r, nullptr, nullptr);
        std::vector<Target> targets;  // of the kernels of 1
        for (const Group& group : source.groups)
            if (group.kernel == 1) pointwise(group, r, sum, targets, out);
            else stacked(group, r, sum, out);
        std::vector<Linear> linear;
        for (const Branch& skip : source.skips) linear.push_back({found[skip.target].value, skip.z});
        for (const Branch& pool : source.pools)
            linear.push_back({found[pool.target].adjoint, pool.z});
        for (const Linear& term : linear) of_z[term.z] = dot_of(term.of_term, x, rows);
        sum.linears = linear.size(), sum.linear = linear.data();
        if (out) source_gradient(&sum, given.z, rows, out);
    }

    std::vector<Target> targets_of(const Group& group) {
        std::vector<Target> targets;
        for (const Branch& branch : group.branches)
            targets.push_back({found[branch.target].value, found[branch.target].sum, branch.z});
        return targets;
    }
    T* wanted(Int place, Int size) { return of_parameters ? of_parameters + place : take(size); }
    Norm norm_of(const Group& group) {
        Norm norm = {given.kept + group.mean, given.kept + group.inverse, nullptr, nullptr, nullptr};
        if (group.affine) {
            norm.scale = gathered(group, 1, C);
            norm.of_scale = wanted(group.of_scale, group.width());
            norm.of_shift = wanted(group.of_shift, group.width());
        }
        return norm;
    }

    void stacked(const Group& group, const T* r, Sum& sum, bool inwards) {
        auto targets = targets_of(group);
        Norm norm = norm_of(group);
        const T *shifts = group.affine ? gathered(group, 2, C) : nullptr, *y = given.kept + group.y;
        T* dy = inwards || of_parameters ? take(rows * group.width()) : nullptr;
        stacked_backward(group.count(), targets.data(), &norm, shifts, y, rows, given.z, of_z, dy);
        if (!dy) return;
        T* of_r = inwards ? take(rows * C) : nullptr;
        convolution_backward(dy, r, given.n, given.h, given.w, weights_of(group), group.width(),
                             of_r, of_parameters ? of_parameters + group.of_weights : nullptr);
        if (sum.rectified && of_r)
            for (Int k = 0; k < rows * C; ++k) of_r[k] += sum.rectified[k];
        if (of_r) sum.rectified = of_r;
    }

    void pointwise(const Group& group, const T* r, Sum& sum, std::vector<Target>& targets,
                   bool inwards) {
        targets = targets_of(group);
        Norm norm = norm_of(group);
        const T* shifts = group.affine ? gathered(group, 2, C) : nullptr;
        T* constant = inwards ? take(C) : nullptr;
        T* mixed = inwards ? take(C * C) : nullptr;
        T* back = inwards ? take(group.width() * C) : nullptr;
        pointwise_backward(group.count(), targets.data(), &norm, shifts, r, rows, weights_of(group),
                           given.kept + group.of_r, given.kept + group.cov, given.z, of_z,
                           of_parameters ? of_parameters + group.of_weights : nullptr, constant,
                           mixed, back);
        if (!inwards) return;
        sum.r = r, sum.constant = constant, sum.mixed = mixed, sum.back = back;
        sum.count = group.count(), sum.targets = targets.data();
    }
};

extern "C" {

// The states of all nodes but the inputs, and what backward needs, in given.kept.
void forward(const Given* given) { Forward(*given).run(); }

// outputs, of_inputs: one a node and one an input, null where there is none; see Backward.
void backward(const Given* given, const T* const* outputs, T* of_z, T* const* of_inputs,
              T* of_parameters) {
    Backward(*given, outputs, of_z, of_inputs, of_parameters).run();
}
}
