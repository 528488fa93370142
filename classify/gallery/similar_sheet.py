"""A page of similar images: each query with the images of the feature cache that are nearest to it."""

from __future__ import annotations

from fc7.classify.gallery.after import originals_of
from fc7.classify.gallery.page import MOST_PICTURES, Page, Picture, Section, Sheet, write_page
from fc7.classify.report.thumbnails import Originals, make_thumbnails
from fc7.classify.similar.similar import Query, SimilarImages
from fc7.models.common.progress import Progress
from fc7.models.common.terminal import counted
from fc7.models.outputs.outputs import Output


def write_similar_sheet(found: SimilarImages, out: Output, progress: Progress) -> Sheet:
    """Write the page: as many whole queries as one page takes, the first ones.

    Raises
    ------
    Fc7Error
        If it cannot be written.
    """
    in_cache = originals_of(found.features)
    given = Originals({}) if found.listing is None else originals_of(found.listing)
    sections: list[Section] = []
    room = MOST_PICTURES
    for query in found.queries:
        room -= 1 + len(query.neighbours)
        # The first is shown however long it is: an empty page would say nothing.
        shown = room >= 0 or not sections
        sections.append(_section(query, in_cache, given, progress=progress) if shown else _left_out(query))
    n_left = sum(not section.pictures for section in sections)
    queries, images = counted(len(sections), "query", "queries"), counted(found.rows, "image")
    summary = f"{queries} compared with {images} by the cosine of {found.layer}."
    summary += f" {n_left} are beyond what one page takes." if n_left else ""
    unread = [(failure.path, failure.reason) for failure in found.failures]
    return write_page(
        Page(
            "similar",
            heading="Similar images",
            title=str(found.features),
            summary=summary,
            sections=sections,
            unread=unread,
        ),
        out,
    )


def _section(query: Query, in_cache: Originals, given: Originals, progress: Progress) -> Section:
    # A row of the cache is looked for there, an image that was given where it lies.
    own = given if query.path in given.refs else in_cache
    first = make_thumbnails(own, [(0, query.path, query.sha256)])
    near = make_thumbnails(
        in_cache, [(i, each.path, each.sha256) for i, each in enumerate(query.neighbours)], progress
    )
    pictures = [Picture(query.path, "query", first[0])]
    pictures += [
        Picture(each.path, " ".join([f"{each.cosine:.3f}", each.label]).strip(), near[i])
        for i, each in enumerate(query.neighbours)
    ]
    return Section(
        query.path, len(pictures), counted(len(query.neighbours), "nearest image"), pictures=pictures
    )


def _left_out(query: Query) -> Section:
    return Section(query.path, 1 + len(query.neighbours), "left out of this page", pictures=[])
