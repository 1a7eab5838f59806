"""Deliberately simple models of the orderings: lists, and the definitions. Everything is O(n)."""

EPOCHS, TESTS, REGRETS, STEP, LATE = 64, 2, 0.1, 4, 1 / 32


class Model:
    """What every ordering does; `order` says which key goes next."""

    def __init__(self, maxsize):
        self.maxsize = maxsize
        self.sizes = {}

    def total(self):
        return sum(self.sizes.values())

    def insert(self, key, size):
        victims = []
        while self.total() + size > self.maxsize:
            victims.append(self.pop())
        self.sizes[key] = size
        self.enter(key)
        return victims

    def resize(self, key, size):
        self.sizes[key] = size
        self.written(key)
        victims = []
        spared = False
        while self.total() > self.maxsize:
            victim = self.next()
            self.leave(victim)
            if victim == key:
                spared = True
            else:
                del self.sizes[victim]
                victims.append(victim)
        if spared:
            self.enter(key)
        return victims

    def remove(self, key):
        del self.sizes[key]
        self.leave(key)

    def pop(self):
        key = self.next()
        self.remove(key)
        return key

    def clear(self):
        for key in list(self.sizes):
            self.remove(key)


class LRUModel(Model):
    """Keys, least recently used first."""

    def __init__(self, maxsize):
        super().__init__(maxsize)
        self.keys = []

    def enter(self, key):
        self.keys.append(key)

    def leave(self, key):
        self.keys.remove(key)

    def read(self, key):
        self.leave(key)
        self.enter(key)

    written = read

    def next(self):
        return self.keys[0]


class FIFOModel(LRUModel):
    """Keys, first written first."""

    def read(self, key):
        pass


class LFUModel(Model):
    """For each key how often it was used, and when it got there."""

    def __init__(self, maxsize):
        super().__init__(maxsize)
        self.uses = {}
        self.moment = 0

    def enter(self, key):
        self.moment += 1
        self.uses[key] = (1, self.moment)

    def leave(self, key):
        del self.uses[key]

    def read(self, key):
        self.moment += 1
        self.uses[key] = (self.uses[key][0] + 1, self.moment)

    written = read

    def next(self):
        return min(self.uses, key=self.uses.get)


class Item:
    """One entry of the adaptive model."""

    def __init__(self, key, size):
        self.key, self.size = key, size
        self.used, self.epoch, self.spare = False, 0, 0


class AdaptiveModel(Model):
    """The default ordering from its description, with rings as lists and ghosts as a dict.

    No ghost is lost to another here, so it agrees with the real one as long as the keys are numbers
    below the number of its places.
    """

    def __init__(self, maxsize):
        super().__init__(maxsize)
        self.hot, self.cold, self.demoted = [], [], []
        self.hot_room = 0.99 * maxsize
        self.epoch, self.left = 1, 0
        self.horizon = 1
        self.ghosts = {}
        self.testing = []  # the epochs of the ghosts in their test
        self.regrets = 0
        self.ahead_at = None

    def find(self, key):
        return next(item for item in self.hot + self.cold + self.demoted if item.key == key)

    def hot_total(self):
        return sum(item.size for item in self.hot)

    def ahead(self):
        share = self.hot_room / self.maxsize
        return 0 if share >= 0.75 else 1 if share >= 0.5 else 2

    # What is done to it.

    def read(self, key):
        self.find(key).used = True

    def insert(self, key, size):
        victims = []
        hot = False
        if self.total() + size > self.maxsize:
            self.look_ahead()
            while self.total() + size > self.maxsize:
                victims.append(self.pop())
        else:
            hot = self.hot_total() + size <= self.hot_room
        self.sizes[key] = size
        self.count_insertion()
        if key in self.ghosts:
            hot = self.returned(self.ghosts.pop(key), size) or hot
        item = Item(key, size)
        if hot:
            self.heat(item)
        else:
            self.enter(item)
        return victims

    def pop(self):
        item, was_hot = self.take()
        del self.sizes[item.key]
        self.bury(item, was_hot)
        return item.key

    def remove(self, key):
        item = self.find(key)
        if item in self.cold:
            self.leave_cold(item)
        else:
            (self.hot if item in self.hot else self.demoted).remove(item)
        del self.sizes[key]

    def resize(self, key, size):
        item = self.find(key)
        self.sizes[key] = item.size = size
        item.used = True
        victims = []
        spared = False
        while self.total() > self.maxsize:
            victim, was_hot = self.take()
            if victim is item:
                spared = True
            else:
                del self.sizes[victim.key]
                self.bury(victim, was_hot)
                victims.append(victim.key)
        if spared:
            self.enter(item)
        return victims

    def clear(self):
        self.__init__(self.maxsize)

    # How it decides.

    def count_insertion(self):
        if self.left:
            self.left -= 1
        else:
            self.epoch += 1
            self.left = max(len(self.sizes) // EPOCHS - 1, 0)
            while len(self.testing) > TESTS * len(self.sizes):
                self.end_tests()

    def enter(self, item):
        item.epoch = self.epoch
        self.cold.append(item)

    def take(self):
        while True:
            if self.demoted and (not self.cold or self.demoted[0].epoch <= self.cold[0].epoch):
                item = self.demoted.pop(0)
                if not item.used:
                    return item, True
                item.used = False
                self.widen_hot(item.size)
                self.heat(item)
            elif not self.cold:
                self.demote()
            elif self.cold[0].used:
                self.met_marked(self.cold[0], promote=self.in_test(self.cold[0]))
            else:
                item = self.cold[0]
                self.leave_cold(item)
                return item, False

    def met_marked(self, item, *, promote):
        item.used = False
        if promote:
            self.leave_cold(item)
            self.heat(item)
        else:
            self.cold.remove(item)
            self.enter(item)

    def leave_cold(self, item):
        if self.ahead_at is item:
            self.ahead_at = None
        self.cold.remove(item)

    def look_ahead(self):
        ahead = self.ahead()
        if not ahead:
            return
        item = self.ahead_at or (self.cold[0] if self.cold else None)
        for _ in range(ahead):
            if item is None:
                break
            after = self.cold[(self.cold.index(item) + 1) % len(self.cold)]
            if after is item:
                after = None
            if item.used and item.epoch < self.epoch:
                self.met_marked(item, promote=ahead == 2 and self.in_test(item))
            item = after
        self.ahead_at = item

    def heat(self, item):
        item.epoch, item.spare = self.epoch, 0
        self.hot.append(item)
        while self.hot_total() > self.hot_room:
            self.demote()

    def demote(self):
        self.sweep()
        self.demoted.append(self.hot.pop(0))

    def sweep(self):
        frequency = self.ahead() == 0
        while self.hot:
            item = self.hot[0]
            if item.used:
                item.used = False
                item.spare = min(item.spare + 1, 2) if frequency else 0
            elif frequency and item.spare:
                item.spare -= 1
            else:
                return
            item.epoch = self.epoch
            self.hot.append(self.hot.pop(0))

    def in_test(self, item):
        return item.epoch >= self.look()

    def look(self):
        self.sweep()
        earliest = self.hot[0].epoch + 1 if self.hot else self.epoch
        while self.horizon < earliest:
            self.end_tests()
        return self.horizon

    def end_tests(self):
        self.testing = [epoch for epoch in self.testing if epoch != self.horizon]
        self.horizon += 1

    def bury(self, item, was_hot):
        if was_hot:
            self.regrets += 1
            self.ghosts[item.key] = -self.regrets
        elif item.epoch >= self.look():
            self.testing.append(item.epoch)
            self.ghosts[item.key] = item.epoch

    def returned(self, mark, size):
        if mark > 0:
            if mark < self.look():
                self.move(LATE * size, size)
                return False
            self.testing.remove(mark)
            regrets = self.recent_regrets()
            self.move(-STEP * size * regrets / (regrets + len(self.testing)), size)
            return True
        if mark + self.regrets < REGRETS * len(self.sizes):
            self.widen_hot(size)
        return False

    def recent_regrets(self):
        return max(1, min(self.regrets, REGRETS * len(self.sizes)))

    def widen_hot(self, size):
        testing = len(self.testing)
        self.move(STEP * size * testing / (self.recent_regrets() + testing), size)

    def move(self, way, least):
        self.hot_room = max(least, min(self.hot_room + way, 0.99 * self.maxsize))
